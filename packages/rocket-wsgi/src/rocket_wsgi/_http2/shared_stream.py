"""One stream that goes on after its view has returned: an event stream, or what else was begun."""

from __future__ import annotations

from bisect import bisect_left
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, final

from rocket_core import CloseReason, State
from rocket_core.extending import QUEUE_BOUND, Phase, SharedTurns

if TYPE_CHECKING:
    from threading import Lock

    from rocket_core import Connection, SharedConnection, SharedProtocol, Timeouts
    from rocket_wsgi._http2.session import Session

_OPEN: Final = Phase.OPEN  # a look-up of an attribute of an enum is expensive
_ENDING: Final = Phase.ENDING
_OVER: Final = Phase.OVER

_PROPER: Final = frozenset({None, CloseReason.DRAINED})
"""The reasons for an end that the client expects."""

_NOTHING: Final[list[bytes]] = []
"""What most streams have received. It is not changed."""


class Keeper(Protocol):
    """The shared streams of a connection, as far as one of them needs it: see `SharedStreams`.

    The methods are called with ``lock``.
    """

    connection: Connection
    shared: SharedConnection
    session: Session
    lock: Lock

    def hold(self, stream: SharedStream, size: int, /) -> None:
        """Note that ``size`` bytes of the budget are lent for ``stream``."""

    def take_back(self, stream: SharedStream, /) -> None:
        """Give back to the budget what ``stream`` does not need any more."""

    def begin_end(self, stream: SharedStream, /, *, last: bool) -> None:
        """End the response of ``stream``."""

    def arm(self, when: float, /) -> None:
        """Have the protocols told of the time by ``when``."""

    def credit(self, number: int, count: int, /) -> None:
        """Let the client send ``count`` bytes more."""

    def recall(self, stream: SharedStream, /) -> None:
        """Have the owner look at ``stream``."""

    def cut(self, stream: SharedStream, reason: CloseReason, /) -> None:
        """Reset ``stream``."""


@final
class SharedStream(SharedTurns):
    """A `Channel`, and a `Source`, on one stream. Any thread may call the public methods.

    What it has to send waits in the session of the connection, as any response does, until the
    windows of the client open. The lock of the connection's protocol guards all of it.

    Attributes:
        number: the number of the stream.
        attached: whether the view is done with it. Before, its protocol is not told of anything.
        due: when the protocol is to be told of the time.
        drain_told: whether the protocol was told of the drain. For the owner.
        ended: whether the client has ended its side, behind what is buffered. The end of a request
            ends nothing: only what listens hears of it.
        lent: the bytes of the server's budget that are taken for what waits.
        waited: whether the client had to be waited for since all was taken last.
    """

    __slots__ = (
        "_ends",
        "_listens",
        "_parts",
        "_queued",
        "_reading",
        "_size",
        "_streams",
        "attached",
        "drain_told",
        "due",
        "ended",
        "lent",
        "number",
        "waited",
    )

    def __init__(
        self, streams: Keeper, number: int, protocol: SharedProtocol, *, listens: bool, gone: bool
    ) -> None:
        """Begin open, behind what the view has sent. ``gone``: nothing can be sent on the stream.

        ``listens``: the protocol receives what the client sends. Otherwise that is the body of the
        request, of which the view has read what it wanted.
        """
        SharedTurns.__init__(self, streams.connection, protocol)
        if gone:  # it is over when it is attached
            self.phase = _ENDING
        self._lock = streams.lock
        self._streams: Final = streams
        self.number: Final = number
        self.attached = False
        self.due = inf
        self.drain_told = False
        self.ended = False
        self.lent = 0
        self.waited = False
        self._listens = listens
        self._reading = True
        self._parts = _NOTHING
        """What has come, and was not taken."""
        self._size = 0
        """The bytes of that."""
        self._queued = self.pending
        """The bytes that were added to the body so far."""
        self._ends = [self._queued]
        """The values of it at the ends of the pieces that wait, and of the one before them."""

    def __repr__(self) -> str:
        return f"<SharedStream {self.number} {self.protocol.kind} {self.phase.value}>"

    # -- as a channel ------------------------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """The connection of the stream, whose methods are for its owner."""
        return self._streams.connection

    @property
    def pending(self) -> int:
        """The bytes that were queued, and that the owner of the connection has yet to take."""
        return self._streams.session.stream_pending(self.number)

    @property
    def blocked(self) -> bool:
        """Whether the client has to take something, or open a window, before more can be sent."""
        streams = self._streams
        if streams.session.is_blocked(self.number):
            return True
        return streams.shared.blocked and self.pending > 0

    def queue(self, data: bytes, *, control: bool = False, message: bool = False) -> bool:
        """Append ``data`` to the response; return False where it is refused.

        If the view's response was withheld, the first piece is the field block of the head. What is
        refused, and what is cut for it, is as told at `SharedConnection.queue`.
        """
        size = len(data)
        if not size:
            return self.phase is _OPEN
        server = self.connection.server
        if not self._accepts(control=control) or not server.take_room(self, size):
            if message:
                self.drop_message()
            return False
        now = monotonic()
        with self._lock:
            # Others may have queued, or ended it, meanwhile.
            accepted = self._accepts(control=control) and self._put(data, size, now)
            if message:
                if accepted:
                    self.messages_sent += 1
                else:
                    self.messages_dropped += 1
        if not accepted:
            server.pushed.give_back(size)
        return accepted

    def _accepts(self, *, control: bool) -> bool:
        return self.phase is _OPEN and (control or self.pending < QUEUE_BOUND)

    def _put(self, data: bytes, size: int, now: float) -> bool:
        """With the lock: put ``size`` bytes, or a head, into the session; return if it takes it."""
        streams = self._streams
        session, number = streams.session, self.number
        if not session.is_answered(number):
            if not session.respond(number, data, b"", now, end=False):
                return False
            streams.shared.supply()
            self.connection.server.pushed.give_back(size)  # as over HTTP/1.1, heads count nothing
            return True
        if not session.send(number, data, now):
            return False
        self._queued += size
        self._ends.append(self._queued)
        streams.hold(self, size)
        streams.shared.supply()
        return True

    def drop_queued(self) -> int:
        """Drop all whole pieces whose sending has not begun; return how many bytes."""
        with self._lock:
            session, pending = self._streams.session, self.pending
            taken = self._queued - pending
            # That of the piece of which a part is taken; or `taken` itself.
            end = self._ends[bisect_left(self._ends, taken)]
            keep = end - taken
            session.shorten(self.number, keep, monotonic())
            self._queued = end
            self._ends = [end]
            self._streams.take_back(self)
        return pending - keep

    def end(self, after: State = State.IDLE) -> None:
        """Let nothing more be queued, and end once the client has taken all that is.

        After LINGER, the client is to begin no further stream on the connection.
        """
        with self._lock:
            if self.phase is _OPEN:
                self.phase = _ENDING
                self._streams.begin_end(self, last=after is State.LINGER)

    def call_at(self, when: float) -> None:
        """Have `SharedProtocol.due` called once at ``when``, and not at an earlier time."""
        with self._lock:
            self.due = when
            if self.phase is not _OVER:
                self._streams.arm(when)

    def flush(self) -> None:
        """Carry out what was noted. Never waits, but makes calls of the system."""
        if self.attached and self.take_unqueued():
            self.connection.server.pool.submit_turn(self)
        self._streams.shared.flush()

    def cut(self, reason: CloseReason = CloseReason.SEND_TIMEOUT) -> None:
        """Drop what is queued, and reset the stream, unless this is over already."""
        with self._lock:
            if self.phase is _OVER:
                return
            self._streams.cut(self, reason)
        # The caller may have locks of its own, so that another thread carries this out.
        server = self.connection.server
        server.corks.leave(self)
        server.pool.rouse()

    def cut_input(self) -> None:
        """Reset the stream: others wait for the room that its client keeps occupied."""
        self.cut(CloseReason.BODY_TIMEOUT)

    def failed(self) -> None:
        """Reset the stream: the protocol raised an exception."""
        self.cut(CloseReason.ERROR)

    # -- as a source -------------------------------------------------------------------------------

    @property
    def timeouts(self) -> Timeouts:
        """The time-outs of the connection."""
        return self.connection.timeouts

    @property
    def buffered(self) -> int:
        """The number of bytes that have come and were not taken."""
        return self._size

    def take(self) -> bytes:
        """Take all of them, which lets the client send as many again."""
        with self._lock:
            return self._take()

    def _take(self) -> bytes:
        parts, size = self._parts, self._size
        self._parts = _NOTHING
        self._size = 0
        if size:
            self._streams.credit(self.number, size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def stop_reading(self) -> None:
        """Have the client wait once its window is used up, until `go_on_reading`."""
        with self._lock:
            self._reading = False

    def go_on_reading(self) -> None:
        """Receive again, and have `SharedProtocol.received` called in any case."""
        with self._lock:
            if not self._reading:
                self._reading = True
                self._streams.recall(self)

    def read_again(self) -> None:
        """Note that there is room again for what is received."""
        with self._lock:
            if self._reading:
                self._streams.recall(self)

    @property
    def reads(self) -> bool:
        """Whether the protocol is to be told of what has come."""
        return self._reading and not self.waits_for_room and self.phase is _OPEN

    @property
    def lingers(self) -> bool:
        """Whether the client is to end its side, too, since the response has ended as it should."""
        return self._listens and not self.ended and self.reason in _PROPER

    # -- for the streams of the connection, with the lock ------------------------------------------

    def add(self, data: bytes, *, ended: bool) -> None:
        """Keep ``data``, which has come, until it is taken. ``ended``: it is the last part."""
        self.ended = self.ended or (ended and self._listens)
        if data:
            if self._parts is _NOTHING:
                self._parts = []
            self._parts.append(data)
            self._size += len(data)
        if self.phase is not _OPEN or not self._listens:
            self._take()

    def note_taken(self, pending: int) -> None:
        """Forget the ends of pieces that have been taken, when ``pending`` bytes wait."""
        del self._ends[: bisect_left(self._ends, self._queued - pending)]

    def note_drained(self) -> None:
        """Have the protocol told that the client has taken all that had to wait."""
        self.waited = False
        self._tell_drained()

    def finish(self, reason: CloseReason | None) -> None:
        """Be over, and have the protocol told in a turn. Called once."""
        self.phase = _OVER
        self._parts = _NOTHING
        self._size = 0
        self._tell_ended(reason)

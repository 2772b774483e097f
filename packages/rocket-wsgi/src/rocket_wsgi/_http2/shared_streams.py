"""The streams of a connection that go on without a thread, after their views have returned.

Theory of operation
-------------------
Over HTTP/1.1, an event stream, a deferred answer or a websocket has its connection for itself, and
sends by the `SharedConnection`. Over HTTP/2 it has a stream, and sends by a `SharedStream`, which
looks the same to it. Its protocol, one of those in `rocket_wsgi._push`, cannot tell the two apart,
and the rules are those of `SharedProtocol`:

- *The owner of the connection* calls ``received``, ``due`` and ``draining``. It does so within the
  methods of `HTTP2Protocol` that have the same names, without the lock.
- *A thread of the pool* calls ``turn``, ``drained`` and ``ended``, in a turn of the stream itself,
  which is in the queue of the pool beside those of other streams.
- *Any thread* notes what it wants on the `SharedStream`. What is to be sent goes into the session
  at once. What the owner is to do is noted here, and the owner looks at it when it receives next,
  which `SharedConnection.read_again` brings about.

A stream is *attached* when its view is done with it. Until then its protocol is told of nothing,
since the view's thread is still about to begin it; so what happens meanwhile, such as a reset, is
found when it is attached.

A stream is over when the client has taken all of a response that has ended; when one side has reset
it; when the client has ended its side of a websocket; and when the connection is over. If the
client of a websocket has not ended its side yet, it is given the time for it that a connection has
(`Timeouts.linger`), before it is told to stop by a reset.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from rocket_core import CloseReason
from rocket_core.extending import Phase
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.shared_stream import SharedStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Lock

    from rocket_core import Connection, SharedConnection, SharedProtocol
    from rocket_wsgi._http2.session import Session

_OPEN: Final = Phase.OPEN  # a look-up of an attribute of an enum is expensive
_ENDING: Final = Phase.ENDING
_OVER: Final = Phase.OVER

_CODES: Final = {
    CloseReason.ERROR: ErrorCode.INTERNAL_ERROR,
    CloseReason.REQUEST_TIMEOUT: ErrorCode.INTERNAL_ERROR,
}
"""The codes with which streams are reset; CANCEL for all other reasons."""


class SharedStreams:
    """Those of one connection. ``lock``, which is that of the protocol, guards them.

    Attributes:
        connection: the connection.
        shared: what carries out what was noted.
        session: the session of the connection.
        lock: the lock.
        due: when the next protocol is to be told of the time; never later than that.
        lent: the bytes of the server's budget that are taken for what waits on all streams.
    """

    __slots__ = (
        "_arm",
        "_drained",
        "_ending",
        "_holding",
        "_lingering",
        "_recalled",
        "_streams",
        "_unqueued",
        "connection",
        "due",
        "lent",
        "lock",
        "session",
        "shared",
    )

    def __init__(
        self,
        connection: Connection,
        shared: SharedConnection,
        session: Session,
        lock: Lock,
        arm: Callable[[float], None],
    ) -> None:
        """Begin without streams. ``arm``, called with the lock, has `tell_due` called by then."""
        self.connection = connection
        self.shared = shared
        self.session = session
        self.lock = lock
        self.due = inf
        self.lent = 0
        self._arm: Final = arm
        self._drained = False
        self._streams: dict[int, SharedStream] = {}
        """The streams that are attached, and not over."""
        self._holding: set[SharedStream] = set()
        """Those that have lent bytes."""
        self._ending: set[SharedStream] = set()
        """Those that end when all is taken."""
        self._lingering: dict[int, float] = {}
        """The numbers of streams that are over, and that the client is about to end, too; and until
        when it may."""
        self._recalled: list[SharedStream] = []
        """Those that the owner has to look at."""
        self._unqueued: list[SharedStream] = []
        """Those that may want a turn that no thread has queued."""

    def __len__(self) -> int:
        return len(self._streams)

    def kinds(self) -> list[str]:
        """With the lock: return the kind of each stream."""
        return [stream.protocol.kind for stream in self._streams.values()]

    # -- a thread of the pool, which serves the request ------------------------------------------

    def share(
        self, number: int, protocol: SharedProtocol, *, listens: bool, gone: bool
    ) -> SharedStream:
        """Let ``protocol`` have a stream, once that is attached. See `SharedStream`."""
        return SharedStream(self, number, protocol, listens=listens, gone=gone)

    def attach(
        self, stream: SharedStream, parts: Iterable[bytes], *, ended: bool, gone: bool
    ) -> None:
        """With the lock: begin to tell the protocol, whose view is done.

        ``parts`` have come already, and ``ended`` says that no others follow. ``gone`` says that
        nothing can be sent on the stream.
        """
        stream.attached = True
        self._unqueued.append(stream)
        if stream.phase is _OVER:
            return
        self.connection.server.tally.open_stream(stream)
        if gone:
            self._finish(stream, self.shared.reason or CloseReason.CLIENT)
            return
        self._streams[stream.number] = stream
        self.session.take_turns(stream.number)
        for part in parts:
            stream.add(part, ended=False)
        stream.add(b"", ended=ended)
        if stream.buffered or ended or self._drained:
            self.recall(stream)
        self.note_taken()

    # -- streams: any thread, with the lock ------------------------------------------------------

    def hold(self, stream: SharedStream, size: int) -> None:
        """Note that ``size`` bytes of the budget are lent for ``stream``."""
        stream.lent += size
        self.lent += size
        self._holding.add(stream)
        self.connection.server.pushing.add(stream)
        if stream.blocked:
            stream.waited = True

    def take_back(self, stream: SharedStream) -> None:
        """Give back to the budget what ``stream`` does not need any more."""
        pending = 0 if stream.phase is _OVER else stream.pending
        excess = stream.lent - pending
        if excess > 0:
            stream.lent -= excess
            self.lent -= excess
            self.connection.server.pushed.give_back(excess)
        if not pending:
            self._holding.discard(stream)
            self.connection.server.pushing.discard(stream)

    def begin_end(self, stream: SharedStream, *, last: bool) -> None:
        """End the response of ``stream``; it is over when all of that is taken.

        ``last``: the client is to begin no further one.
        """
        self.session.finish(stream.number)
        if last:
            self.session.drain(monotonic())
            self._arm(self.session.deadline)
        self._ending.add(stream)
        stream.add(b"", ended=False)  # what is buffered is not needed
        self.shared.supply()

    def arm(self, when: float) -> None:
        """Have the protocols told of the time by ``when``."""
        if when < self.due:
            self.due = when
            self._arm(when)

    def credit(self, number: int, count: int) -> None:
        """Let the client send ``count`` bytes more."""
        self.session.credit(number, count, monotonic())
        if self.session.waits:
            self.shared.supply()

    def recall(self, stream: SharedStream) -> None:
        """Have the owner look at ``stream``."""
        self._recalled.append(stream)
        self.shared.read_again()

    def cut(self, stream: SharedStream, reason: CloseReason) -> None:
        """Reset ``stream``."""
        self.session.reset(stream.number, _CODES.get(reason, ErrorCode.CANCEL))
        self._finish(stream, reason)

    def _finish(self, stream: SharedStream, reason: CloseReason | None) -> None:
        """End the sharing of ``stream``, whose protocol is told that in a turn."""
        server = self.connection.server
        number, now = stream.number, monotonic()
        self._streams.pop(stream.number, None)
        self._ending.discard(stream)
        # In this order a stop, which looks for the streams whose protocols have yet to be told,
        # finds this one before its connection is not shared any more.
        server.leaving.begin_leaving(stream)
        stream.finish(reason)
        self.take_back(stream)
        server.tally.close_stream(stream)
        self._unqueued.append(stream)
        if stream.lingers and self.session.is_receiving(number):
            self._lingering[number] = until = now + self.connection.timeouts.linger
            self.arm(until)
        else:
            self.session.release(number, now)
        self.shared.supply()

    def _let_go(self, number: int) -> None:
        """Release a stream that lingers."""
        del self._lingering[number]
        self.session.release(number, monotonic())
        self.shared.supply()

    # -- the owner -------------------------------------------------------------------------------

    def receive(self, number: int, data: bytes, *, ended: bool) -> None:
        """Take a part of what the client sends on a stream. ``ended``: it is the last one."""
        stream = self._streams.get(number)
        if stream is None:
            with self.lock:
                self.credit(number, len(data))
                if ended and number in self._lingering:
                    self._let_go(number)
            return
        with self.lock:
            stream.add(data, ended=ended)
        self._tell(stream)

    def tell_recalled(self) -> None:
        """Look at the streams of which that was wanted."""
        while self._recalled:
            with self.lock:
                recalled, self._recalled = self._recalled, []
            for stream in recalled:
                self._tell(stream)

    def _tell(self, stream: SharedStream) -> None:
        """Tell a protocol of what has happened."""
        if self._drained and not stream.drain_told and stream.phase is not _OVER:
            stream.drain_told = True
            stream.protocol.draining(stream)
        if stream.reads:
            stream.protocol.received(stream)
        if stream.ended and not stream.buffered:
            with self.lock:
                if stream.phase is not _OVER:
                    self.session.finish(stream.number)
                    self._finish(stream, CloseReason.CLIENT)
        self._leave_turn(stream)

    def tell_due(self, now: float) -> None:
        """Tell the protocols whose time has come."""
        with self.lock:
            late = [each for each in self._streams.values() if each.due <= now]
            for stream in late:
                stream.due = inf
            for number in [each for each, until in self._lingering.items() if until <= now]:
                self._let_go(number)
            times = [each.due for each in self._streams.values()]
            self.due = min(*times, *self._lingering.values(), inf, inf)
        for stream in late:
            stream.protocol.due(now)
            self._leave_turn(stream)

    def tell_draining(self) -> None:
        """Tell all protocols that the server drains, and those of later streams as well."""
        with self.lock:
            self._drained = True
            streams = [*self._streams.values()]
        for stream in streams:
            self._tell(stream)

    def reset(self, number: int, reason: CloseReason) -> None:
        """Note that a stream was reset."""
        with self.lock:
            stream = self._streams.get(number)
            if stream is not None:
                self._finish(stream, reason)
            elif number in self._lingering:
                self._let_go(number)
        if stream is not None:
            self._leave_turn(stream)

    def note_waiting(self) -> None:
        """With the lock: note that what is pending has had to wait for the client."""
        for stream in self._holding:
            if stream.pending:
                stream.waited = True

    def note_taken(self) -> None:
        """With the lock: look at what the session has of each stream, after a part was taken."""
        for stream in [*self._holding]:
            pending = stream.pending
            stream.note_taken(pending)
            self.take_back(stream)
            if pending:
                stream.waited = stream.waited or stream.blocked
            elif stream.waited:
                stream.note_drained()
                self._unqueued.append(stream)
        for stream in [*self._ending]:
            if stream.attached and self.session.is_complete(stream.number):
                drained = self.connection.server.draining
                self._finish(stream, CloseReason.DRAINED if drained else None)

    def give_up(self) -> None:
        """End all streams: the connection is over."""
        reason = self.shared.reason or self.connection.close_reason or CloseReason.RESET
        with self.lock:
            for stream in [*self._streams.values()]:
                self._finish(stream, reason)

    def queue_turns(self) -> None:
        """Have the turns queued that are wanted. Any thread may call this, without the lock."""
        while self._unqueued:
            with self.lock:
                unqueued, self._unqueued = self._unqueued, []
            for stream in unqueued:
                if stream.attached and stream.take_unqueued():
                    self.connection.server.pool.submit_turn(stream)

    def _leave_turn(self, stream: SharedStream) -> None:
        """Queue a turn, if one is wanted, on the thread that is about to look at the queue."""
        if stream.take_unqueued():
            self.connection.server.pool.leave_turn(stream)

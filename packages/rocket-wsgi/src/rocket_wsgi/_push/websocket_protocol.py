"""A websocket on a connection or a stream, which holds a thread only while its handler is called.

Theory of operation
-------------------
Three parties meet here, each on threads of its own:

- *The owner of the connection*, one thread at a time, feeds what arrives to the `FrameReader` and
  looks after the time. What belongs to it: the reader, the `Transfer`, and whether the time stands
  still.
- *A thread of the pool* calls the handler, one call in each turn. So a websocket with a hundred
  messages and a hundred websockets with one each are treated alike.
- *Any thread* sends and closes.

What they share is the `Session`, which decides. ``_lock`` guards it, and the fields named below at
`WebSocketProtocol`. What a session has decided is noted on the `Channel` under the same
lock, so that frames leave in the order of the decisions. It is carried out after the lock has been
released: by `Channel.flush`, or by the server once a method that it has called returns.

*Bytes wait for the client* only while the output is blocked. Otherwise they are in the hands of a
thread that is sending them right now, and say nothing about the client: eight threads that send a
large message each would make a quick client look slow.
"""

from __future__ import annotations

from math import inf
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Final, final

from rocket_core import CloseReason, SharedProtocol, Timeouts
from rocket_core.extending import Transfer
from rocket_wsgi._environ.request_record import Messages
from rocket_wsgi._group.member import Leavable
from rocket_wsgi._push.reasons import unusual
from rocket_wsgi._push.websocket import WebSocket
from rocket_wsgi._websocket.frame_reader import FrameReader
from rocket_wsgi._websocket.session import Admission, Call, CallKind, Session
from rocket_wsgi._websocket.state import State

if TYPE_CHECKING:
    from rocket_wsgi._offers.channel import Channel, Sharable, Source
    from rocket_wsgi._offers.continuation import Continuation

_METHODS: Final = {kind: kind.value for kind in CallKind}
"""The names of the methods of handlers."""

CALLBACKS: Final = {kind: f"{kind.value} of a websocket" for kind in CallKind}
"""What the methods are called in logs."""

_SEND: Final = Admission.SEND
_OVERFLOW: Final = Admission.OVERFLOW
_OPEN: Final = State.OPEN
_CLOSED: Final = State.CLOSED
_MESSAGE: Final = CallKind.MESSAGE
_CLOSE: Final = CallKind.CLOSE

_LITTLE: Final = 4096
"""The number of received bytes that are too few for the server to be told of them."""


class Terms:
    """What was agreed with the client, and what the application wants.

    Attributes:
        subprotocol: the subprotocol, or None.
        max_message: the maximum size of a message in bytes.
        compressed: whether compression is agreed.
        ping: the seconds of silence after which the server pings; None: never.
        read_ahead: the number of messages to receive while others wait.
        drop: whether messages to a slow client are refused, instead of closing it.
    """

    __slots__ = ("compressed", "drop", "max_message", "ping", "read_ahead", "subprotocol")

    def __init__(
        self,
        *,
        subprotocol: str | None = None,
        max_message: int = 1 << 20,
        compressed: bool = False,
        ping: float | None = 25.0,
        read_ahead: int = 16,
        drop: bool = False,
    ) -> None:
        self.subprotocol = subprotocol
        self.max_message = max_message
        self.compressed = compressed
        self.ping = ping
        self.read_ahead = read_ahead
        self.drop = drop


@final
class WebSocketProtocol(SharedProtocol):
    """One websocket after its opening handshake.

    ``_lock`` guards ``_session``, ``_armed``, ``_stopped``, ``_unread``, ``_held``, ``_begun``,
    ``_size`` and ``_groups``.

    Attributes:
        compressed: whether compression is agreed.
        websocket: what the application has of it.
    """

    kind = "websocket"

    __slots__ = (
        "_armed",
        "_begun",
        "_continuation",
        "_doing",
        "_groups",
        "_handler",
        "_held",
        "_lock",
        "_paused",
        "_reader",
        "_session",
        "_shared",
        "_size",
        "_status",
        "_stopped",
        "_transfer",
        "_unread",
        "compressed",
        "websocket",
    )

    def __init__(
        self,
        sharable: Sharable,
        head: bytes,
        handler: object,
        terms: Terms,
        continuation: Continuation,
        *,
        status: int,
    ) -> None:
        """Share ``sharable``, complete the handshake by ``head``, and have ``on_open`` called.

        The thread that serves the request calls this. ``status`` is that of ``head``, for the
        access log.
        """
        now = monotonic()
        self.compressed = terms.compressed
        self._handler = handler
        self._lock = Lock()
        self._session = Session(
            now,
            max_message=terms.max_message,
            read_ahead=terms.read_ahead,
            ping=terms.ping,
            drop=terms.drop,
        )
        self._reader = FrameReader(terms.max_message, compressed=terms.compressed)
        self._transfer: Transfer | None = None
        """The message that has begun to arrive. It belongs to the owner of the connection."""
        self._paused = False
        """Whether the time stands still, because nothing is read. For the owner."""
        self._stopped = False
        """Whether `Channel.stop_reading` is in force."""
        self._armed = inf
        """The time for which `due` is ordered: never after that at which something is due."""
        self._unread = 0
        """The bytes that the reader holds."""
        self._held = self._begun = 0
        """The received bytes of which the server was told, and those of a message that has begun
        among them."""
        self._groups: list[Leavable] | None = None
        self._doing = CallKind.OPEN
        self._size = 0
        """The bytes of the frames that were sent."""
        self._continuation: Final = continuation
        self._status: Final = status
        self.websocket = WebSocket(self, continuation.environ, terms.subprotocol)
        self._shared: Channel = sharable.share(self)
        with self._lock:
            self._queue(head)
            self._arm(self._session.deadline)
            self._shared.call()
        continuation.count_response(status)

    # -- any thread ------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._session.closed or self._shared.over

    @property
    def pending(self) -> int:
        """The number of bytes that wait for the client."""
        shared = self._shared
        return shared.pending if shared.blocked else 0

    def send(self, frame: bytes) -> bool:
        """Send the frame of a message; return whether the client is to get it."""
        session, shared = self._session, self._shared
        with self._lock:
            admission = session.admit(self.pending)
            taken = admission is _SEND and shared.queue(frame, control=True, message=True)
            if taken:
                self._size += len(frame)
                session.sent()
            elif admission is not _SEND and not session.closed:
                shared.drop_message()  # the client is too slow
            if admission is _OVERFLOW:
                shared.drop_queued()
                self._queue(session.overflow(monotonic()))
                self._follow()
        if admission is _OVERFLOW:
            self._leave_groups()
        shared.flush()
        return taken

    def close(self, code: int, reason: str) -> None:
        """Close, with checked arguments."""
        with self._lock:
            self._note_end()
            self._queue(self._session.close(code, reason, monotonic()))
            self._follow()
        self._leave_groups()
        self._shared.flush()

    def join(self, group: Leavable) -> bool:
        """Note a group to leave at the close; return False if that has come already."""
        with self._lock:
            if self.closed:
                return False
            if self._groups is None:
                self._groups = []
            self._groups.append(group)
            return True

    def leave(self, group: Leavable) -> None:
        """Forget a group."""
        with self._lock:
            if self._groups is not None and group in self._groups:
                self._groups.remove(group)

    def pace(self, now: float) -> float:
        """Return the rate at which the message arrives that has begun."""
        transfer = self._transfer
        return 0.0 if transfer is None else transfer.pace(now)

    def doing(self) -> str:
        """Return which method of the handler is called, and for which request."""
        return f"{self._continuation}: {CALLBACKS[self._doing]}"

    # -- the owner of the connection -------------------------------------------------------------

    def received(self, source: Source) -> None:
        """Take what has come, and turn it into calls of the handler as far as they may wait."""
        now = monotonic()
        data = source.take()
        reader, session = self._reader, self._session
        if data:
            reader.feed(data)
        complete = False
        begun = more = True
        while more:
            # Decoding is done without the lock. Whether to read may change meanwhile: what is taken
            # after a close has no effect; and if more may be taken in the end, reading goes on.
            event = reader.next() if session.reading else None
            with self._lock:
                if begun:
                    begun = False
                    self._hear(now, silent=not data)
                if event is not None:
                    if isinstance(event, (str, bytes)):
                        complete = True
                        self._shared.messages_received += 1
                    self._queue(session.receive(event, reader.size, self.pending))
                more = event is not None and session.reading and reader.begun
                if not more:
                    self._measure(source.timeouts, len(data), now, complete=complete)
                    self._read_on(now)
                    self._follow()
        self._leave_groups()

    def due(self, now: float) -> None:
        """Ping, or end what has ended, or is too slow."""
        session, shared, transfer = self._session, self._shared, self._transfer
        with self._lock:
            self._armed = inf
            if shared.waits_for_room:
                # A turn has found that too much is held. It does not look after the time.
                self._pause(now)
            if self.pending:
                # The client takes what was sent before the ping, at the rate that is demanded.
                session.heard(now)
            before = session.state
            self._queue(session.tick(now))
            lost = before is _OPEN and session.state is _CLOSED
            if lost:
                shared.cut(CloseReason.SILENCE_TIMEOUT)
            elif transfer is not None and not self._paused and transfer.deadline <= now:
                shared.cut(CloseReason.BODY_TIMEOUT)
            else:
                self._follow()
                self._arm_all()
        self._leave_groups()

    def draining(self, shared: Channel) -> None:
        """Have ``on_shutdown`` called, after which the websocket is closed."""
        del shared
        with self._lock:
            self._session.shut_down()
            self._follow()

    def _hear(self, now: float, *, silent: bool) -> None:
        """With the lock: let the time run again, and note that the client is there."""
        if self._paused:
            self._paused = False
            self._session.go_on_reading(now)
            if self._transfer is not None:
                self._transfer.resume(now)
        if not silent:
            self._session.heard(now)

    def _measure(self, timeouts: Timeouts, count: int, now: float, *, complete: bool) -> None:
        """With the lock: count ``count`` bytes for the message that has begun to arrive.

        ``complete`` says that a message was completed, so that another one may have begun.
        """
        reader = self._reader
        if not reader.begun:
            self._transfer = None
        elif self._transfer is None or complete:
            self._transfer = Transfer(timeouts, now)
        else:
            self._transfer.move(count, now)
        self._unread = reader.held
        self._count()

    def _read_on(self, now: float) -> None:
        """With the lock: stop reading if enough has been read."""
        if not self._session.reading:
            # 1. A thread of the pool takes a message, and finds that reading was not stopped.
            # 2. This thread finds too many messages, and stops reading. Both happen with the lock,
            # so that the next message is taken afterwards, and lets reading go on.
            self._stopped = True
            self._shared.stop_reading()
            self._pause(now)
        elif self._shared.waits_for_room:
            self._pause(now)
        elif self._transfer is not None or self._armed == inf:
            self._arm_all()

    def _pause(self, now: float) -> None:
        """With the lock: let the time of the client stand still, since nothing is read."""
        if not self._paused:
            self._paused = True
            self._session.stop_reading(now)
            if self._transfer is not None:
                self._transfer.pause(0, now)

    def _arm_all(self) -> None:
        """With the lock: order `due` for the time at which something is due next."""
        self._arm(self._session.deadline)
        if self._transfer is not None and not self._paused:
            self._arm(self._transfer.deadline)

    # -- a thread of the pool --------------------------------------------------------------------

    def turn(self) -> bool:
        """Call a method of the handler; return whether another is to be called."""
        session = self._session
        with self._lock:
            call = session.next_call()
            if call is None:
                return False
            self._count()
            resumed = self._stopped and self._resume()
        if resumed:
            self._shared.flush()  # messages are received while the handler is called
        returned = self._call(call)
        with self._lock:
            self._note_end()
            if not returned:
                self._queue(session.raised())
            self._queue(session.returned(monotonic()))
            if session.state is not _OPEN:
                self._follow()
            more = session.due
        self._leave_groups()
        return more

    def drained(self) -> None:
        """The client has taken all that had to wait: have ``on_drained`` called."""
        with self._lock:
            # 1. The client has taken all. 2. Another thread sends again, and the client does not
            # take it. 3. This thread leaves it to the next call of this method.
            if not self._shared.blocked:
                self._queue(self._session.drained())
        self._shared.flush()

    def ended(self, reason: CloseReason | None) -> None:
        """The connection has ended: have ``on_close`` called after what waits."""
        session, shared = self._session, self._shared
        with self._lock:
            session.gone()
        self._leave_groups()
        messages = Messages(shared.messages_received, shared.messages_sent, session.code)
        self._continuation.end(self._status, self._size, unusual(reason), messages)

    def outcome(self, reason: CloseReason | None) -> str:
        """Return the code that ``on_close`` gets."""
        del reason
        return str(self._session.code)

    def _call(self, call: Call) -> bool:
        """Call the handler; return False if that raised an exception, which is logged then."""
        self._doing = kind = call.kind
        method = getattr(self._handler, _METHODS[kind], None)
        if method is None:
            return True
        websocket = self.websocket
        what = CALLBACKS[kind]
        if kind is _MESSAGE:
            return self._continuation.call(what, method, websocket, call.data)
        if kind is _CLOSE:
            return self._continuation.call(what, method, websocket, call.number, call.data)
        return self._continuation.call(what, method, websocket)

    # -- the Monitor's thread --------------------------------------------------------------------

    def overdue(self, shared: Channel) -> None:
        """End at once. ``on_close`` follows when the present call has returned."""
        del shared
        with self._lock:
            self._note_end()
            self._queue(self._session.raised())
            self._follow()
        self._leave_groups()

    # -- with the lock ---------------------------------------------------------------------------

    def _note_end(self) -> None:
        """Note that the connection has ended, before something else would be taken for the end.

        1. The client leaves while the handler is called. 2. The handler, or another thread, closes,
        of which no client hears. 3. `ended` is told, which is after the present call.
        """
        if self._shared.over:
            self._session.gone()

    def _queue(self, data: bytes) -> None:
        if data:
            self._shared.queue(data, control=True)

    def _follow(self) -> None:
        """Let the connection follow what the session has decided."""
        session, shared = self._session, self._shared
        if session.state is not _OPEN:
            if session.state is _CLOSED:
                shared.end()
            else:
                self._arm(session.deadline)
        if self._stopped:
            self._resume()
        if session.due:
            shared.call()

    def _resume(self) -> bool:
        """Let reading go on, which was stopped, if it need not be any more; return whether."""
        if not self._session.reading:
            return False
        self._stopped = False
        self._shared.go_on_reading()
        return True

    def _arm(self, deadline: float | None) -> None:
        """Have `due` called at ``deadline``, unless it is called earlier anyway.

        A deadline that moves away, as it does with all that arrives, is looked up when `due` comes
        at the time of an earlier one.
        """
        if deadline is not None and deadline < self._armed:
            self._armed = deadline
            self._shared.call_at(deadline)

    def _count(self) -> None:
        """Tell the server how much is held that has been received."""
        held = self._session.held + self._unread
        if held > _LITTLE or self._held:
            held = held if held > _LITTLE else 0
            begun = self._unread if held else 0
            if held != self._held or begun != self._begun:
                self._held = held
                self._begun = begun
                self._shared.hold(held, begun)

    # -- without the lock ------------------------------------------------------------------------

    def _leave_groups(self) -> None:
        """Leave all groups if the websocket is closed. See `join`."""
        if self._groups is None or not self._session.closed:
            return
        with self._lock:
            groups, self._groups = self._groups, None
        for group in groups or ():
            group.discard(self.websocket)

"""One websocket without its socket: what to send, what to call, and when to read.

Theory of operation. A session decides, and its caller acts. Every method is short and runs under
one lock, which belongs to the caller; bytes that a method returns are put into the output under the
same lock, so that frames leave in the order of the decisions. Decoding frames is not part of it:
the thread that reads does that without the lock (`FrameReader`), and hands over events.

Calls of the handler wait in one queue. The caller takes the next one, runs it without the lock and
says `returned`; it never runs two calls of a session at a time. Messages that precede an end of the
client's making are still handled; after a close frame of ours they are dropped. The call of
`on_close` is the last, after the state has become CLOSED.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from rocket_wsgi._websocket.close_codes import (
    ABNORMAL,
    GOING_AWAY,
    INTERNAL_ERROR,
    NO_STATUS,
    TRY_AGAIN_LATER,
)
from rocket_wsgi._websocket.encoding import FIN, PING, PONG, close_frame, frame
from rocket_wsgi._websocket.frame_reader import Closing, Event, Failure, Ping
from rocket_wsgi._websocket.state import TRANSITIONS, State, Step

SLOW: Final = 256 * 1024
"""The number of bytes that wait for a client from which it counts as slow."""

CLOSE_TIMEOUT: Final = 2.0
"""The seconds for which the client's close frame is awaited after ours."""

_OPEN: Final = State.OPEN
_ANSWERING: Final = State.ANSWERING
_AWAITING: Final = State.AWAITING
_CLOSED: Final = State.CLOSED


class CallKind(Enum):
    """The method of the handler that is to be called."""

    OPEN = "on_open"
    MESSAGE = "on_message"
    DRAINED = "on_drained"
    SHUTDOWN = "on_shutdown"
    CLOSE = "on_close"

    __hash__ = object.__hash__


_MESSAGE: Final = CallKind.MESSAGE
_NOTHING: Final = ""


class Call:
    """A call of the handler.

    Attributes:
        kind: the method.
        data: the message, or the reason of the close.
        number: the size of the message in bytes, or the code of the close.
    """

    __slots__ = ("data", "kind", "number")

    def __init__(self, kind: CallKind, data: str | bytes = _NOTHING, number: int = 0) -> None:
        self.kind = kind
        self.data = data
        self.number = number


class Admission(Enum):
    """Whether a message of the application may be sent."""

    SEND = "send"
    REFUSE = "refuse"
    OVERFLOW = "overflow"
    """The client is too slow and is to be closed: `Session.overflow`."""


class Session:
    """The state of one websocket after the opening handshake.

    Attributes:
        state: the present state.
        code: the code for ``on_close``: of the close frame that came first, or 1006.
        reason: the reason beside it.
        held: the bytes of messages that wait to be handled.
    """

    __slots__ = (
        "_calls",
        "_close_due",
        "_drain_awaited",
        "_drain_queued",
        "_drop",
        "_heard",
        "_max_held",
        "_messages",
        "_ping",
        "_pinged",
        "_pong",
        "_read_ahead",
        "_running",
        "_stopped",
        "_told",
        "code",
        "held",
        "reason",
        "state",
    )

    def __init__(
        self, now: float, *, max_message: int, read_ahead: int, ping: float | None, drop: bool
    ) -> None:
        """Begin a session, whose handshake was completed at ``now``.

        ``drop`` says that messages to a slow client are refused, instead of closing it.
        """
        self.state = State.OPEN
        self.code = ABNORMAL
        self.reason = ""
        self.held = 0
        self._max_held = max_message
        self._read_ahead = read_ahead
        self._ping = ping
        self._drop = drop
        # Few calls wait, and an empty list is ten times smaller than an empty deque.
        self._calls = [Call(CallKind.OPEN)]
        self._messages = 0
        self._running: CallKind | None = None
        self._told = False
        self._heard = now
        self._pinged: float | None = None
        self._stopped: float | None = None
        self._close_due = 0.0
        self._pong: bytes | None = None
        self._drain_awaited = False
        self._drain_queued = False

    # The client's side. The thread that reads calls these.

    @property
    def reading(self) -> bool:
        """Whether to read from the connection, and to ask the reader for events."""
        if self.state is _OPEN:
            return self._messages < self._read_ahead and self.held < self._max_held
        return self.state is _AWAITING

    def receive(self, event: Event, size: int, pending: int) -> bytes:
        """Take an event, a message of ``size`` bytes or another; return what is to be sent.

        ``pending`` is the number of bytes that wait for the client. While it is slow, its pings are
        not answered one by one: the answer to the last of them follows when it has caught up (RFC
        6455, section 5.5.3).
        """
        if isinstance(event, (str, bytes)):
            if self.state is _OPEN:
                self._calls.append(Call(_MESSAGE, event, size))
                self._messages += 1
                self.held += size
        elif isinstance(event, Ping):
            if self.state is _OPEN:
                if pending < SLOW:
                    return frame(FIN | PONG, event.payload)
                self._pong = event.payload
        elif isinstance(event, Closing):
            self._client_closes(event)
            return self._answer()
        elif isinstance(event, Failure):
            return self.fail(event.code, event.reason)
        return b""  # and for a pong: all bytes show that the client is there, see heard

    def heard(self, now: float) -> None:
        """Note that bytes of the client have arrived: it is there."""
        self._heard = now
        self._pinged = None

    def stop_reading(self, now: float) -> None:
        """Let the time of the client's silence stand still, because nothing is read."""
        if self._stopped is None:
            self._stopped = now

    def go_on_reading(self, now: float) -> None:
        """Let the time of the client's silence run again."""
        if self._stopped is not None:
            paused = now - self._stopped
            self._stopped = None
            self._heard += paused
            if self._pinged is not None:
                self._pinged += paused

    def gone(self) -> None:
        """Note that the client has left, or that the connection broke."""
        self._leave()

    # The application's side. Any thread calls these.

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.state is _AWAITING or self.state is _CLOSED

    def admit(self, pending: int) -> Admission:
        """Return what to do with a message while ``pending`` bytes wait for the client."""
        if self.closed:
            return Admission.REFUSE
        if pending < SLOW:
            return Admission.SEND
        return Admission.REFUSE if self._drop else Admission.OVERFLOW

    def sent(self) -> None:
        """Note that a message was put into the output."""
        self._drain_awaited = True

    def drained(self) -> bytes:
        """Note that the client has taken all output, which had to wait for it.

        Returns what is to be sent now. ``on_drained`` is due if a message was sent since the last
        time.
        """
        if self.closed:
            return b""
        if self._drain_awaited:
            self._drain_awaited = False
            if not self._drain_queued:
                self._drain_queued = True
                self._calls.append(Call(CallKind.DRAINED))
        pong = self._pong
        self._pong = None
        return b"" if pong is None or self.state is not _OPEN else frame(FIN | PONG, pong)

    def close(self, code: int, reason: str, now: float) -> bytes:
        """Close by the application's wish, with checked arguments; return what is to be sent."""
        before = self.state
        if not self._step(Step.WE_CLOSE):
            return b""
        self._forget()
        if before is _OPEN:
            self.code = code
            self.reason = reason
            self._close_due = now + CLOSE_TIMEOUT
        return close_frame(code, reason)

    def overflow(self, now: float) -> bytes:
        """Close a client that is too slow. The close frame replaces messages that wait."""
        return self.close(TRY_AGAIN_LATER, "the client is too slow", now)

    def shut_down(self) -> None:
        """Tell the handler that the server drains, after what waits. Called once."""
        if self.state is _OPEN:
            self._calls.append(Call(CallKind.SHUTDOWN))

    # Calls of the handler. One thread at a time takes a call and says that it returned.

    @property
    def due(self) -> bool:
        """Whether a call waits, and none runs."""
        return self._running is None and (bool(self._calls) or self._ended)

    def next_call(self) -> Call | None:
        """Take the next call; None if there is none or one runs."""
        if self._running is not None:
            return None
        if self._calls:
            call = self._calls.pop(0)
        elif self._ended:
            self._told = True
            call = Call(CallKind.CLOSE, self.reason, self.code)
        else:
            return None
        if call.kind is _MESSAGE:
            self._messages -= 1
            self.held -= call.number
        elif call.kind is CallKind.DRAINED:
            self._drain_queued = False
        self._running = call.kind
        return call

    def returned(self, now: float) -> bytes:
        """Note that the call which ran has returned; return what is to be sent."""
        kind = self._running
        self._running = None
        if kind is CallKind.SHUTDOWN:
            return self.close(GOING_AWAY, "", now)
        return self._answer()

    def fail(self, code: int, reason: str) -> bytes:
        """End at once, by an error of the client or of the handler; return what is to be sent."""
        before = self.state
        if not self._step(Step.FAILED):
            return b""
        self._forget()
        if before is _OPEN:
            self.code = code
            self.reason = reason
        return b"" if before is _AWAITING else close_frame(code, reason)

    def raised(self) -> bytes:
        """End because a call raised an exception or takes too long; return what is to be sent.

        Nothing but ``on_close`` follows, even if the client has left before.
        """
        data = self.fail(INTERNAL_ERROR, "")
        self._forget()
        return data

    # Time. The Monitor calls tick when the deadline has come.

    @property
    def deadline(self) -> float | None:
        """When `tick` is due; None if never, as things stand."""
        if self.state is _AWAITING:
            return self._close_due
        if self.state is not _OPEN or self._ping is None or self._stopped is not None:
            return None
        return (self._heard if self._pinged is None else self._pinged) + self._ping

    def tick(self, now: float) -> bytes:
        """Do what is due at ``now``; return what is to be sent."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return b""
        if self.state is _OPEN and self._pinged is None:
            self._pinged = now
            return frame(FIN | PING, b"")
        self._leave()
        return b""

    @property
    def _ended(self) -> bool:
        return self.state is _CLOSED and not self._told

    def _step(self, step: Step) -> bool:
        """Take a step; whether the table has it."""
        following = TRANSITIONS.get((self.state, step))
        if following is None:
            return False
        self.state = following
        return True

    def _leave(self) -> None:
        """Go on without the client. Only messages that have arrived are still handled."""
        if self._step(Step.GONE):
            self._calls = [call for call in self._calls if call.kind in {CallKind.OPEN, _MESSAGE}]

    def _client_closes(self, closing: Closing) -> None:
        before = self.state
        if self._step(Step.CLIENT_CLOSES) and before is _OPEN:
            self.code = closing.code
            self.reason = closing.reason

    def _answer(self) -> bytes:
        """Answer the client's close frame if all that came before it has been handled."""
        if self.state is not _ANSWERING or self._running is not None or self._calls:
            return b""
        self._step(Step.WE_CLOSE)
        return close_frame(None if self.code == NO_STATUS else self.code)

    def _forget(self) -> None:
        """Drop the calls that wait, except that of a handler which has not been opened."""
        opening = bool(self._calls) and self._calls[0].kind is CallKind.OPEN
        self._calls.clear()
        if opening:
            self._calls.append(Call(CallKind.OPEN))
        self._messages = 0
        self.held = 0
        self._drain_awaited = False
        self._drain_queued = False
        self._pong = None

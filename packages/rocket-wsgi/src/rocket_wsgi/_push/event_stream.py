"""An event stream, as applications and groups see it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf
from random import uniform
from threading import Lock
from time import monotonic
from typing import Any, Final

from rocket_core import State
from rocket_core.extending import mypyc_attr
from rocket_wsgi._events.event_format import (
    KEEP_ALIVE,
    check_data,
    check_event,
    check_id,
    encode_comment,
    encode_event,
    encode_retry,
)
from rocket_wsgi._group.broadcast import Broadcast, MemberKind
from rocket_wsgi._group.member import Leavable
from rocket_wsgi._offers.channel import Channel
from rocket_wsgi._push.framing import Framing
from rocket_wsgi._types import Environ

MAX_PENDING: Final = 256 * 1024
"""The number of bytes that wait for a client from which it counts as too slow."""

_RETRY: Final = 3.0
"""Seconds after which clients come back that were told nothing, about what browsers do."""

_JITTER: Final = 0.5
"""The part of that time by which it is changed at random, so that clients do not come at once."""


class Phase(Enum):
    """The life of an event stream."""

    BEGUN = "begun"
    """The view runs. What is sent is kept until the view's response is sent."""
    OPEN = "open"
    """What is sent goes to the client."""
    ENDED = "ended"
    """Nothing can be sent any more; the client gets what was sent before, and the end."""
    CUT = "cut"
    """Nothing can be sent any more, and the client gets no end: it was too slow."""

    __hash__ = object.__hash__


_BEGUN: Final = Phase.BEGUN
_OPEN: Final = Phase.OPEN
_ENDED: Final = Phase.ENDED
_CUT: Final = Phase.CUT


@mypyc_attr(native_class=False)  # which would have no weak references
class EventStream:
    """An open event stream. Any thread may use it, and no method waits for the client.

    ``_lock`` guards all attributes but ``context``.

    Attributes:
        context: anything the application likes to keep here.
    """

    __slots__ = (
        "__weakref__",
        "_environ",
        "_framing",
        "_groups",
        "_keep_alive",
        "_kept",
        "_last",
        "_lock",
        "_opening",
        "_phase",
        "_retry",
        "_sent",
        "_shared",
        "context",
    )

    def __init__(
        self, environ: Callable[[], Environ], framing: Framing, retry: float | None
    ) -> None:
        """Belong to the request of ``environ``. ``retry`` is the first thing that is sent."""
        self._lock: Final = Lock()
        self._phase = _BEGUN
        self._environ: Any = environ
        self._framing: Final = framing
        self._retry = _RETRY if retry is None else retry
        self._opening = b"" if retry is None else encode_retry(retry)
        self._kept: list[bytes] | None = []
        self._shared: Channel | None = None
        self._groups: list[Leavable] | None = None
        self._keep_alive = False
        self._last = 0.0
        """When something was sent last, by `time.monotonic`."""
        self._sent = 0
        """The bytes that were sent, or are kept, without their framing."""
        self.context: Any = None

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        phase, shared = self._phase, self._shared
        return phase is not _BEGUN and (phase is not _OPEN or shared is None or shared.over)

    @property
    def pending(self) -> int:
        """The number of bytes that were sent and still wait for the client."""
        shared = self._shared
        if shared is not None:
            return shared.pending
        return 0 if self._kept is None else self._sent

    @property
    def environ(self) -> Environ:
        """The strings of the environ of the request, as a new dict."""
        environ: Environ = self._environ()
        return environ

    def send(
        self,
        data: str,
        *,
        event: str | None = None,
        id: str | int | None = None,  # noqa: A002 - as the field of an event is called
    ) -> bool:
        """Send an event; return whether the client is to get it.

        It is not, if the stream is closed. While 256 KiB or more wait for the client, it is too
        slow: then the stream is closed without its end, so that an ``EventSource`` comes back with
        the ID of the last event that it has got.

        Raises `TypeError` for data that is not a str, and `ValueError` for an event or an ID with a
        CR, LF or NUL, and for an ID that is not ASCII.
        """
        return self._send(encode_event(check_data(data), check_event(event), check_id(id)))

    def comment(self, text: str) -> bool:
        """Send a comment, which clients ignore. As `send`."""
        return self._send(encode_comment(check_data(text)))

    def close(self) -> None:
        """End the stream, after what was sent. Closing a stream that is closed changes nothing."""
        shared = self._end()
        self._leave_groups()
        if shared is not None:
            shared.flush()

    # -- as a member of groups -------------------------------------------------------------------

    @property
    def kind(self) -> MemberKind:
        """What the stream is as a member."""
        return MemberKind.EVENT_STREAM

    def send_encoded(self, message: Broadcast) -> bool:
        """Send a group's message; return whether the client is to get it."""
        return not self.closed and self._send(message.stream_event())

    def lapse(self) -> None:
        """End, and let the client come back at a time of its own, since events may be missing.

        It is to make another connection, which may lead to another process, with all events.
        """
        with self._lock:
            self._keep_alive = False
        shared = self._end(self._another_time())
        self._leave_groups()
        if shared is not None:
            shared.flush()

    def join(self, group: Leavable) -> bool:
        """Note a group that this has entered; return False if the stream is closed."""
        with self._lock:
            if self.closed:
                return False
            if self._groups is None:
                self._groups = []
            self._groups.append(group)
            return True

    def leave(self, group: Leavable) -> None:
        """Forget a group that this has left."""
        with self._lock:
            if self._groups is not None and group in self._groups:
                self._groups.remove(group)

    # -- for the protocol ------------------------------------------------------------------------

    def begin(
        self,
        shared: Channel,
        environ: Callable[[], Environ],
        now: float,
        *,
        keep_alive: bool,
    ) -> None:
        """Send what was kept, and from now on send by ``shared``, behind the view's response.

        ``keep_alive`` tells whether the connection may serve requests after the stream.
        """
        with self._lock:
            phase = self._phase
            kept, self._kept = self._kept, None
            self._shared = shared
            self._environ = environ
            self._keep_alive = keep_alive
            self._last = now
            self._sent = 0
            if self._opening and kept is not None:
                self._queue(self._opening, shared, message=False)
            self._opening = b""
            for data in kept or ():
                self._queue(data, shared, message=True)
            if phase is _BEGUN:
                self._phase = _OPEN
            elif phase is _ENDED:
                self._finish(shared)
        if phase is _CUT:
            shared.drop_message()  # the one for which there was no room
            shared.cut()

    def undo(self, environ: Callable[[], Environ]) -> None:
        """Close, since the view's response is not that of an event stream."""
        with self._lock:
            self._phase = _ENDED
            self._kept = None
            self._environ = environ

    def ping(self, now: float, silence: float) -> float:
        """Send a comment after ``silence`` seconds without one; return when to call this again."""
        with self._lock:
            shared = self._shared
            if self._phase is not _OPEN or shared is None:
                return inf
            if shared.pending:
                self._last = now  # the client is not silent: it takes what was sent
            elif now >= self._last + silence:
                shared.queue(self._framing.part(KEEP_ALIVE), control=True)
                self._last = now
            return self._last + silence

    def end_at_drain(self) -> None:
        """End the stream, and let the client come back at a time of its own."""
        with self._lock:
            self._keep_alive = False
        self._end(self._another_time())

    def over(self) -> int:
        """Leave all groups, since the connection has ended; return how many bytes were sent."""
        with self._lock:
            if self._phase is _OPEN:
                self._phase = _CUT
            self._shared = None  # which refers to this object
            sent = self._sent
        self._leave_groups()
        return sent

    # -- the rest --------------------------------------------------------------------------------

    def _another_time(self) -> bytes:
        """Return the field that tells the client when to come back."""
        return encode_retry(self._retry * uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - no secret

    def _send(self, data: bytes) -> bool:
        with self._lock:
            phase, shared = self._phase, self._shared
            if phase is _BEGUN:
                return self._keep(data)
            if phase is not _OPEN or shared is None:
                return False
            taken = self._queue(data, shared, message=True)
            if taken:
                self._last = monotonic()
            else:
                self._phase = _CUT
        if taken:
            shared.flush()
        else:
            self._leave_groups()
            shared.cut()
        return taken

    def _leave_groups(self) -> None:
        """Leave all groups, since the stream is closed."""
        with self._lock:
            groups, self._groups = self._groups, None
        for group in groups or ():
            group.discard(self)

    def _keep(self, data: bytes) -> bool:
        """With the lock: keep ``data`` until the view's response is sent."""
        kept = self._kept
        if kept is None or self._sent >= MAX_PENDING:
            self._phase = _CUT
            self._kept = None
            return False
        kept.append(data)
        self._sent += len(data)
        return True

    def _queue(self, data: bytes, shared: Channel, *, message: bool) -> bool:
        """With the lock: have ``data`` sent, unless too much waits for the client.

        ``message``: it is an event or a comment of the application.

        Bytes wait for the client while the output is blocked. Otherwise they are in the hands of
        another thread that sends right now, and say nothing about the client.
        """
        part = self._framing.part(data)
        taken = shared.queue(part, control=not shared.blocked, message=message)
        if taken:
            self._sent += len(data)
        return taken

    def _end(self, last: bytes = b"") -> Channel | None:
        """End the stream, after ``last``; return what is to be flushed without the lock."""
        with self._lock:
            phase, shared = self._phase, self._shared
            if phase is not _BEGUN and phase is not _OPEN:
                return None
            self._phase = _ENDED
            if shared is not None:
                if last:
                    shared.queue(self._framing.part(last), control=True)
                self._finish(shared)
            return shared

    def _finish(self, shared: Channel) -> None:
        """With the lock: queue the end."""
        shared.queue(self._framing.end(), control=True)
        draining = shared.connection.draining
        shared.end(State.IDLE if self._keep_alive and not draining else State.LINGER)

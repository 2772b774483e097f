"""An event stream on a connection or a stream, which holds no thread until it ends."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, final

from rocket_core import CloseReason, SharedProtocol
from rocket_wsgi._environ.request_record import Messages
from rocket_wsgi._push.reasons import unusual
from rocket_wsgi._push.received import leave_in_buffer

if TYPE_CHECKING:
    from rocket_wsgi._offers.channel import Channel, Sharable, Source
    from rocket_wsgi._offers.continuation import Continuation
    from rocket_wsgi._push.event_stream import EventStream

    OnClose = Callable[[EventStream], object]


@final
class EventStreamProtocol(SharedProtocol):
    """One event stream after its view's response was sent.

    What the client sends meanwhile is left in the buffer, for the requests that follow.
    """

    kind = "event stream"

    __slots__ = ("_continuation", "_on_close", "_ping", "_shared", "_size", "_status", "_stream")

    def __init__(
        self,
        stream: EventStream,
        continuation: Continuation,
        on_close: OnClose | None,
        ping: float | None,
    ) -> None:
        """Serve ``stream``, of the request of ``continuation``."""
        self._stream: Final = stream
        self._continuation: Final = continuation
        self._on_close = on_close
        self._ping: Final = ping
        self._shared: Channel | None = None
        self._status = 0
        self._size = 0

    def begin(self, sharable: Sharable, status: int, size: int, *, keep_alive: bool) -> None:
        """Share ``sharable``, behind a response with ``status`` and ``size`` bytes of body."""
        now = monotonic()
        self._status = status
        self._size = size
        self._shared = shared = sharable.share(self)
        self._stream.begin(shared, self._continuation.environ, now, keep_alive=keep_alive)
        if self._ping is not None:
            shared.call_at(now + self._ping)

    # -- the owner of the connection -------------------------------------------------------------

    def received(self, source: Source) -> None:
        """Leave what the client sends to the requests that follow."""
        if self._shared is not None:
            leave_in_buffer(source, self._shared)

    def due(self, now: float) -> None:
        """Send a comment, if nothing was sent for so long."""
        if self._ping is not None and self._shared is not None:
            self._shared.call_at(self._stream.ping(now, self._ping))

    def draining(self, shared: Channel) -> None:
        """End the stream."""
        del shared
        self._stream.end_at_drain()

    # -- a thread of the pool --------------------------------------------------------------------

    def ended(self, reason: CloseReason | None) -> None:
        """Tell the application, and the access log."""
        shared, self._shared = self._shared, None
        messages = Messages(0, 0 if shared is None else shared.messages_sent)
        size = self._size + self._stream.over()
        self._continuation.end(self._status, size, unusual(reason), messages)
        tell_closed(self._stream, self._continuation, self._on_close)

    def doing(self) -> str:
        """Return the request, for people."""
        return f"{self._continuation}: on_close of an event stream"


def tell_closed(stream: EventStream, continuation: Continuation, on_close: OnClose | None) -> None:
    """Call ``on_close``, if there is one."""
    if on_close is not None:
        continuation.call("on_close of an event stream", on_close, stream)

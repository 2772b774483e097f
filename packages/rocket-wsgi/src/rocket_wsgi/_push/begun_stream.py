"""An event stream whose view has not returned yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._offers.begun import Begun
from rocket_wsgi._push.event_stream import EventStream
from rocket_wsgi._push.event_stream_protocol import EventStreamProtocol, tell_closed

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._offers.channel import Sharable
    from rocket_wsgi._offers.continuation import Continuation
    from rocket_wsgi._push.event_stream_protocol import OnClose

_WITHOUT_BODY: Final = frozenset({204, 205})


class BegunStream(Begun):
    """An event stream that is open if the view's response suits it."""

    __slots__ = ("_on_close", "_ping", "_status", "stream")

    def __init__(self, stream: EventStream, on_close: OnClose | None, ping: float | None) -> None:
        super().__init__(withholds=False)
        self.stream: Final = stream
        self._on_close = on_close
        self._ping = ping
        self._status = 0

    def admit(self, request: Request, status: int, headers: Any) -> bool:
        """Return whether the response has a body to which events can be added.

        Raises `ApplicationError` for one with a content coding, whose end would never come.
        """
        self._status = status
        if status >= 300 or status in _WITHOUT_BODY or request.method == "HEAD":
            return False
        for name, value in headers:
            if name.lower() == "content-encoding" and value.strip().lower() != "identity":
                raise ApplicationError(
                    f"an event stream cannot have Content-Encoding: {value}, as events would be "
                    "added to it uncompressed; exempt the view from compression"
                )
        return True

    def go_on(
        self, sharable: Sharable, continuation: Continuation, size: int, *, keep_alive: bool
    ) -> None:
        """Share ``sharable``, and send what was kept."""
        protocol = EventStreamProtocol(self.stream, continuation, self._on_close, self._ping)
        protocol.begin(sharable, self._status, size, keep_alive=keep_alive)

    def undo(self, continuation: Continuation) -> bool:
        """Close the stream."""
        self.stream.undo(continuation.environ)
        self.stream.over()
        return self._on_close is not None

    def tell(self, continuation: Continuation) -> None:
        """Call ``on_close``."""
        tell_closed(self.stream, continuation, self._on_close)

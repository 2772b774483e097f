"""A websocket whose view has not returned yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rocket_wsgi._offers.begun import Begun, Refused
from rocket_wsgi._push.websocket import WebSocket
from rocket_wsgi._push.websocket_protocol import CALLBACKS, Terms, WebSocketProtocol
from rocket_wsgi._websocket.close_codes import ABNORMAL
from rocket_wsgi._websocket.handshake import Opening, switching_fields
from rocket_wsgi._websocket.session import CallKind

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._offers.channel import Sharable
    from rocket_wsgi._offers.continuation import Continuation
    from rocket_wsgi._types import Headers

    Encode = Callable[[Headers], bytes]
    """Returns the head that completes the handshake, given its fields."""


class BegunWebSocket(Begun):
    """A websocket that opens unless the view answers with 300 or more."""

    __slots__ = ("_encode", "_fields", "_handler", "_opening", "_terms")

    def __init__(self, handler: object, terms: Terms, opening: Opening, encode: Encode) -> None:
        super().__init__(withholds=True)
        self._handler: Final = handler
        self._terms: Final = terms
        self._opening: Final = opening
        self._encode: Final = encode
        self._fields: Headers = []

    def admit(self, request: Request, status: int, headers: Any) -> bool:
        """Return whether the view lets the client in."""
        del request
        self._fields = list(headers)
        return status < 300

    def go_on(
        self, sharable: Sharable, continuation: Continuation, size: int, *, keep_alive: bool
    ) -> None:
        """Complete the handshake, and share ``sharable``."""
        del size, keep_alive
        terms = self._terms
        fields = switching_fields(
            self._opening, self._fields, terms.subprotocol, deflate=terms.compressed
        )
        WebSocketProtocol(
            sharable,
            self._encode(fields),
            self._handler,
            terms,
            continuation,
            status=self._opening.status,
        )

    def undo(self, continuation: Continuation) -> bool:
        """Return whether there is an ``on_close``, which is all that the handler hears."""
        del continuation
        return hasattr(self._handler, CallKind.CLOSE.value)

    def tell(self, continuation: Continuation) -> None:
        """Call ``on_close``."""
        on_close = getattr(self._handler, CallKind.CLOSE.value)
        websocket = WebSocket(None, continuation.environ, self._terms.subprotocol)
        continuation.call(CALLBACKS[CallKind.CLOSE], on_close, websocket, ABNORMAL, "")


class StrangeWebSocket(Begun):
    """A websocket that a page of another origin asks for. The view cannot let it in."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Refuse with ``text``."""
        super().__init__(withholds=True)
        self._text: Final = text

    def admit(self, request: Request, status: int, headers: Any) -> bool:
        """Refuse, whatever the view answers."""
        del request, status, headers
        raise Refused("403 Forbidden", self._text)

    def go_on(
        self, sharable: Sharable, continuation: Continuation, size: int, *, keep_alive: bool
    ) -> None:
        """Is not called, since nothing is admitted."""

    def undo(self, continuation: Continuation) -> bool:
        """Return False, since the handler was not used."""
        del continuation
        return False

    def tell(self, continuation: Continuation) -> None:
        """Is not called."""

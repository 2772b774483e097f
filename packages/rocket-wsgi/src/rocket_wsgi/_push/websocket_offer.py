"""The offer of a websocket, as applications see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._offers.begun import Begun
    from rocket_wsgi._websocket.handshake import Opening


class WebSocketOffer:
    """``rocket.websocket``: an application may turn its request into a websocket."""

    __slots__ = ("_begin", "_opening", "_request")

    def __init__(self, opening: Opening, request: Request, begin: Callable[[Begun], None]) -> None:
        """Offer what the valid handshake ``opening`` of ``request`` asks for.

        ``begin`` is `Response.begin`.
        """
        self._opening: Final = opening
        self._request: Final = request
        self._begin: Final = begin

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client asks for, in its order."""
        return self._opening.subprotocols

    @property
    def origin(self) -> str | None:
        """The origin of the page whose script asks, or None."""
        return self._opening.origin

"""The offer of a websocket, as applications see it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_core.extending import RareLog
from rocket_wsgi._offers.seconds import check_seconds
from rocket_wsgi._push.begun_websocket import BegunWebSocket, StrangeWebSocket
from rocket_wsgi._push.websocket_protocol import Terms
from rocket_wsgi._websocket.handshake import check_subprotocol, origin_admitted

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._offers.begun import Begun
    from rocket_wsgi._push.begun_websocket import Encode
    from rocket_wsgi._websocket.handshake import Opening

_strangers: Final = RareLog(logging.getLogger("rocket_wsgi"))

_SLOW: Final = ("close", "drop")


class Default(Enum):
    """The value of an argument that the application does not give."""

    SITE = "as the site says"


class WebSocketDefaults:
    """What holds for websockets unless the application says otherwise.

    Attributes:
        max_message: the maximum size in bytes of a message of the client, decompressed.
        ping: the seconds of silence after which the client is asked for an answer; None: never.
    """

    __slots__ = ("max_message", "ping")

    def __init__(self, max_message: int, ping: float | None) -> None:
        """Check the settings: TypeError or ValueError for invalid ones."""
        _check_number("websocket_max_message", max_message)
        check_seconds("websocket_ping", ping)
        self.max_message: Final = max_message
        self.ping: Final = ping


class WebSocketOffer:
    """``rocket.websocket``: an application may turn its request into a websocket."""

    __slots__ = ("_begin", "_defaults", "_encode", "_opening", "_request")

    def __init__(
        self,
        opening: Opening,
        request: Request,
        begin: Callable[[Begun], None],
        encode: Encode,
        defaults: WebSocketDefaults,
    ) -> None:
        """Offer what the valid handshake ``opening`` of ``request`` asks for.

        ``begin`` is `Response.begin`. ``encode`` encodes the response that completes the handshake.
        """
        self._encode: Final = encode
        self._opening: Final = opening
        self._request: Final = request
        self._begin: Final = begin
        self._defaults: Final = defaults

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client asks for, in its order."""
        return self._opening.subprotocols

    @property
    def origin(self) -> str | None:
        """The origin of the page whose script asks, or None."""
        return self._opening.origin

    def accept(
        self,
        handler: object,
        *,
        subprotocol: str | None = None,
        origins: str | Collection[str] | None = None,
        max_message: int | Default = Default.SITE,
        compress: bool = True,
        ping: float | Default | None = Default.SITE,
        read_ahead: int = 16,
        slow: str = "close",
    ) -> bool:
        """Have the websocket opened after the view has returned, if it answers below 300.

        ``handler`` is any object; it is called by those of these methods that it has:
        ``on_open(ws)``, ``on_message(ws, data)``, ``on_drained(ws)``, ``on_shutdown(ws)`` and
        ``on_close(ws, code, reason)``, with the `WebSocket` ``ws``. Returns False if the origin of
        the page is not admitted: the answer is 403 then, whatever the view answers, and ``handler``
        is not used.

        Args:
            handler: what is called.
            subprotocol: one of `subprotocols`, or None.
            origins: the origins whose pages may open the websocket, such as
                ``{"https://example.com"}``; ``"*"``: all; None: those of the same host and port.
                Clients that send no origin, which are no browsers, are always let in.
            max_message: the maximum size in bytes of a message of the client, decompressed.
                Default: ``websocket_max_message`` of the `Site`, 1 MiB.
            compress: whether to compress messages, from 200 bytes on, if the client can.
            ping: seconds of silence after which the client is asked for an answer, and after which
                it counts as gone without one; None: never. Default: ``websocket_ping`` of the
                `Site`, 25 s.
            read_ahead: the number of messages that are received while the handler is busy.
            slow: what becomes of a message while 256 KiB or more wait for the client: ``"close"``:
                the websocket is closed with 1013; ``"drop"``: the message is not sent.

        Raises:
            RuntimeError: the view has returned, or has begun something by an offer before.
            TypeError: ``max_message`` or ``read_ahead`` is not an int.
            ValueError: the client did not ask for ``subprotocol``, or another argument is invalid.
        """
        if isinstance(max_message, Default):
            max_message = self._defaults.max_message
        if isinstance(ping, Default):
            ping = self._defaults.ping
        check_subprotocol(self._opening, subprotocol)
        check_seconds("ping", ping)
        _check_number("max_message", max_message)
        _check_number("read_ahead", read_ahead)
        if slow not in _SLOW:
            raise ValueError(f"slow is {slow!r}: give 'close' or 'drop'")
        host: str = self._request.environ.get("HTTP_HOST", "")
        if not origin_admitted(self.origin, origins, host):
            text = f"a page of origin {self.origin!r} may not open a websocket at host {host!r}"
            self._begin(StrangeWebSocket(text))
            _strangers.warning("%s: %s; admit it by origins=", self._request, text)
            return False
        terms = Terms(
            subprotocol=subprotocol,
            max_message=max_message,
            compressed=compress and bool(self._opening.deflate),
            ping=ping,
            read_ahead=read_ahead,
            drop=slow == "drop",
        )
        self._begin(BegunWebSocket(handler, terms, self._opening, self._encode))
        return True


def _check_number(name: str, number: int) -> None:
    if not isinstance(number, int):
        raise TypeError(f"{name} is {number!r}: give an int")
    if number < 1:
        raise ValueError(f"{name} is {number}: give a number from 1")

"""The upgrade of a connection to another protocol, such as a websocket (RFC 9110, section 7.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_core.extending import UpgradedSocket
from rocket_wsgi._http1.fields import Framing
from rocket_wsgi._offers.begun import Refused
from rocket_wsgi._push.websocket_offer import WebSocketOffer
from rocket_wsgi._websocket.handshake import Refusal, read_opening

if TYPE_CHECKING:
    from rocket_core import Connection
    from rocket_wsgi._http1.http1_request import HTTP1Request
    from rocket_wsgi._http1.http1_response import HTTP1Response
    from rocket_wsgi._push.websocket_offer import WebSocketDefaults
    from rocket_wsgi._types import Headers


def offer_upgrade(
    connection: Connection,
    request: HTTP1Request,
    response: HTTP1Response,
    defaults: WebSocketDefaults,
) -> None:
    """Offer the connection to the application if the client asks for another protocol.

    The client does so by HTTP/1.1 and the option ``upgrade`` in the field ``Connection`` (RFC 9110,
    section 7.8). The request must not have a body, which would precede the bytes of the other
    protocol. The application finds the socket as ``rocket.socket``; libraries such as
    `simple_websocket` find it as ``werkzeug.socket``. If the client asks for a websocket, the
    application finds a `WebSocketOffer` as ``rocket.websocket`` as well, with these ``defaults``.

    Raises `Refused` for an opening handshake of a websocket that is not valid.
    """
    environ = request.environ
    body = request.framing is not Framing.NONE
    opening = read_opening(environ, modern=request.modern, body=body)
    if isinstance(opening, Refusal):
        raise Refused(opening.status, opening.message, opening.fields)
    if opening is not None:
        environ["rocket.websocket"] = WebSocketOffer(
            opening, request, response.begin, _encode_switching, defaults
        )
    options = environ.get("HTTP_CONNECTION", "").lower().split(",")
    if not request.modern or body:
        return
    if "upgrade" not in [option.strip(" \t") for option in options]:
        return
    offered = UpgradedSocket(connection)
    environ["rocket.socket"] = environ["werkzeug.socket"] = offered
    response.upgrade = offered


def _encode_switching(fields: Headers) -> bytes:
    """Return the response that completes the handshake. Its fields have been checked."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields])
    return f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode("latin-1")

"""The upgrade of a connection to another protocol, such as a websocket (RFC 9110, section 7.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_core.extending import UpgradedSocket
from rocket_wsgi._http1.fields import Framing

if TYPE_CHECKING:
    from rocket_core import Connection
    from rocket_wsgi._http1.http1_request import HTTP1Request


def offer_upgrade(connection: Connection, request: HTTP1Request) -> UpgradedSocket | None:
    """Offer the connection to the application if the client asks for another protocol.

    The client does so by HTTP/1.1 and the option ``upgrade`` in the field ``Connection`` (RFC 9110,
    section 7.8). The request must not have a body, which would precede the bytes of the other
    protocol. The application finds the socket as ``rocket.socket``; libraries such as
    `simple_websocket` find it as ``werkzeug.socket``. Returns None if there is no offer.
    """
    options = request.environ.get("HTTP_CONNECTION", "").lower().split(",")
    if not request.modern or request.framing is not Framing.NONE:
        return None
    if "upgrade" not in [option.strip(" \t") for option in options]:
        return None
    offered = UpgradedSocket(connection)
    request.environ["rocket.socket"] = request.environ["werkzeug.socket"] = offered
    return offered

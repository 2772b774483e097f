"""The environ keys with which an application takes over a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_core.extending import UpgradedSocket
from rocket_wsgi._http1.fields import Framing

if TYPE_CHECKING:
    from rocket_core import Connection
    from rocket_wsgi._http1.request import Request


def offer_upgrade(connection: Connection, request: Request) -> UpgradedSocket | None:
    """Offer the connection to the application, if its client asks to speak another protocol.

    That takes HTTP/1.1 and the option in ``Connection`` (RFC 9110, section 7.8), and no body,
    which would be in the way. ``werkzeug.socket`` is the name by which `simple_websocket` finds a
    socket without having the application end in an exception.
    """
    options = request.environ.get("HTTP_CONNECTION", "").lower().split(",")
    if not request.modern or request.framing is not Framing.NONE:
        return None
    if "upgrade" not in [option.strip(" \t") for option in options]:
        return None
    offered = UpgradedSocket(connection)
    request.environ["rocket.socket"] = request.environ["werkzeug.socket"] = offered
    return offered

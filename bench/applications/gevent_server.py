"""The echo of gevent-websocket, on gevent's own server.

python -m bench.applications.gevent_server PORT
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from bench.applications.pages import hello

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Send messages back; answer what is no websocket."""
    websocket = environ.get("wsgi.websocket")
    if websocket is None:
        return hello(environ, start_response)
    while (message := websocket.receive()) is not None:
        websocket.send(message)
    return []


if __name__ == "__main__":
    address = ("127.0.0.1", int(sys.argv[1]))
    WSGIServer(address, application, handler_class=WebSocketHandler, log=None).serve_forever()

"""A server that does nothing but websockets, and a client for it."""

from __future__ import annotations

import os
import struct
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rocket_core import Connection, State, Worker
from rocket_core.testing import Client
from rocket_wsgi._push.websocket_protocol import Terms, WebSocketProtocol
from rocket_wsgi._websocket.handshake import Opening, read_opening, switching_fields

if TYPE_CHECKING:
    from rocket_core import TCPAddress

TEXT = 0x81
BINARY = 0x82
CLOSE = 0x88
PING = 0x89
PONG = 0x8A


class WebSocketWorker(Worker):
    """Answers every request with the opening handshake of a websocket."""

    def __init__(self, handler: Callable[[], object], **terms: Any) -> None:
        self.handler = handler
        self.terms = terms

    def receive(self, connection: Connection) -> State:
        if connection.fill() == 0:
            return State.CLOSED
        return State.READY if connection.find(b"\r\n\r\n") >= 0 else State.HEAD

    def serve(self, connection: Connection) -> State:
        head = connection.take(connection.find(b"\r\n\r\n") + 4)
        environ = {"REQUEST_METHOD": "GET"}
        for line in head.decode("latin-1").split("\r\n")[1:-2]:
            name, _, value = line.partition(":")
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value.strip()
        opening = read_opening(environ, modern=True, body=False)
        assert isinstance(opening, Opening)
        deflate = self.terms.get("compressed", False) and opening.deflate
        fields = switching_fields(opening, [], self.terms.get("subprotocol"), deflate=deflate)
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        connection.write(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode("latin-1"))
        terms = Terms(**self.terms | {"compressed": deflate})
        WebSocketProtocol(connection, self.handler(), terms, lambda: environ)
        return State.SHARED

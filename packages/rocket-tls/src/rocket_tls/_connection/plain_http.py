"""The response to a client that speaks HTTP without TLS."""

from __future__ import annotations

from typing import Final

_MESSAGE: Final = b"This port speaks TLS; use https://\n"

PLAIN_HTTP_RESPONSE: Final = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: close\r\n"
    b"\r\n"
    b"%s"
) % (len(_MESSAGE), _MESSAGE)

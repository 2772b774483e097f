"""The bytes that servers without a parser answer with."""

from __future__ import annotations

from typing import Final

END: Final = b"\r\n\r\n"
"""The end of a request's head."""

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n"
_BODY: Final = b"Hello, world!"

ANSWER: Final = _HEAD + b"\r\n" + _BODY
CLOSING_ANSWER: Final = _HEAD + b"Connection: close\r\n\r\n" + _BODY

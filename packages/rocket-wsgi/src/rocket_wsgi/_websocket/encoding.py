"""The frames that a server sends (RFC 6455, section 5.2). They are never masked."""

from __future__ import annotations

from typing import Final

from rocket_wsgi._websocket.deflate import MIN_SIZE, deflate

FIN: Final = 0x80
RSV1: Final = 0x40
CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


def frame(first: int, payload: bytes) -> bytes:
    """Return the frame with ``payload`` whose first byte (flags and opcode) is ``first``."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126, size >> 8, size & 255)) + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Return the close frame with ``code`` and ``reason``; without both if ``code`` is None."""
    if code is None:
        return frame(FIN | CLOSE, b"")
    return frame(FIN | CLOSE, code.to_bytes(2, "big") + reason.encode())


def check_message(data: object) -> None:
    """Raise `TypeError` for anything but text and bytes."""
    if not isinstance(data, (str, bytes)):
        raise TypeError(f"a message is str or bytes, not {type(data).__name__}")


def encode_message(data: str | bytes, *, compressed: bool) -> bytes:
    """Return the frame of a message; compressed if that is agreed and makes it smaller.

    Raises `TypeError` for anything but text and bytes, and `UnicodeEncodeError` (a ValueError) for
    text with lone surrogates.
    """
    if isinstance(data, str):
        first = FIN | TEXT
        payload = data.encode()
    else:
        check_message(data)
        first = FIN | BINARY
        payload = data
    if compressed and len(payload) >= MIN_SIZE:
        packed = deflate(payload)
        if packed is not None:
            return frame(first | RSV1, packed)
    return frame(first, payload)

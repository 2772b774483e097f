"""The layout of frames, and the bytes of those that a server sends (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends before its first frame (section 3.4)."""

HEAD_SIZE: Final = 9
"""The number of bytes before the payload of a frame (section 4.1)."""

MAX_FRAME: Final = 16_384
"""The maximum number of bytes of a payload, both ways. It is the initial value of
SETTINGS_MAX_FRAME_SIZE, and this server does not ask for more: a larger frame would only delay the
frames of other streams behind it."""

# The types of frames.
DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9
PRIORITY_UPDATE: Final = 0x10
"""RFC 9218, section 7.1."""

# Their flags.
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

STREAM_MASK: Final = 0x7FFF_FFFF
"""The 31 bits of a stream identifier or a window; the remaining bit is reserved."""

HEAD: Final = Struct(">IBI")
"""The head of a frame: the length times 256 and the type, the flags, the stream."""

_NUMBER: Final = Struct(">I")
_GOAWAY: Final = Struct(">II")
_RESET: Final = Struct(">HBBBII")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def headers_frames(stream: int, block: bytes, *, end: bool) -> bytes:
    """Return the frames of a field block: HEADERS, and CONTINUATION for what exceeds a frame."""
    ending = END_STREAM if end else 0
    if len(block) <= MAX_FRAME:
        return frame(HEADERS, END_HEADERS | ending, stream, block)
    pieces = [frame(HEADERS, ending, stream, block[:MAX_FRAME])]
    for start in range(MAX_FRAME, len(block), MAX_FRAME):
        last = END_HEADERS if start + MAX_FRAME >= len(block) else 0
        pieces.append(frame(CONTINUATION, last, stream, block[start : start + MAX_FRAME]))
    return b"".join(pieces)


def rst_stream(stream: int, code: int) -> bytes:
    """Return a frame that ends a stream (section 6.4)."""
    return _RESET.pack(0, 4, RST_STREAM, 0, stream, code)


def window_update(stream: int, increment: int) -> bytes:
    """Return a frame that lets the client send more; stream 0 is the connection (section 6.9)."""
    return _RESET.pack(0, 4, WINDOW_UPDATE, 0, stream, increment)


def goaway(last: int, code: int, debug: bytes = b"") -> bytes:
    """Return a frame that says which stream is the last to be served (section 6.8)."""
    return frame(GOAWAY, 0, 0, _GOAWAY.pack(last, code) + debug)


def number_in(payload: bytes, position: int = 0) -> int:
    """Return the 32 bits at ``position``."""
    number: int = _NUMBER.unpack_from(payload, position)[0]
    return number

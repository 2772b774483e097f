"""The bytes that clients of HTTP/2 send, with a number of requests in each batch.

The fields are those of the requests over HTTP/1.1. As browsers do, clients refer to what they have
sent before (RFC 7541), with one exception: a path that comes once is a literal in Huffman code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final

from rocket_wsgi._http2 import huffman

_HEAD: Final = Struct(">HBBBI")
_HEADERS: Final = 1
_SETTINGS: Final = 4
_WINDOW_UPDATE: Final = 8
_ACK: Final = 1
_ENDS: Final = 0x05
"""END_STREAM and END_HEADERS."""

_OK: Final = b"\x88"
"""The beginning of a response's head: the status 200."""

_PSEUDO: Final = b"\x82\x86"
"""The method GET and the scheme http."""
_ROOT: Final = b"\x84"
"""The path /."""

_WINDOW: Final = (1 << 30) - 1


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


OPENING: Final = b"".join(
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        _frame(_SETTINGS, 0, 0, b"\0\4" + _WINDOW.to_bytes(4)),
        _frame(_SETTINGS, _ACK, 0, b""),
        _frame(_WINDOW_UPDATE, 0, 0, (_WINDOW - 65_535).to_bytes(4)),
    ]
)
"""What is sent first: the preface, and large windows, as h2load has them."""


def _string(text: str) -> bytes:
    encoded = _encode(text)
    if len(encoded) >= 0x7F:
        raise ValueError(f"the string is too long for one byte of length: {text!r}")
    return bytes([0x80 | len(encoded)]) + encoded


def _encode(text: str) -> bytes:
    """Return ``text`` in the Huffman code of HPACK, found by walking the tree of the decoder."""
    codes = _codes()
    bits = "".join(codes[ord(character)] for character in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def _codes() -> dict[int, str]:
    if not _found:
        stack = [(0, "")]
        while stack:
            node, bits = stack.pop()
            for bit in (0, 1):
                following = huffman._TREE[node][bit]
                if following < 0:
                    _found[~following] = f"{bits}{bit}"
                else:
                    stack.append((following, f"{bits}{bit}"))
    return _found


_found: Final[dict[int, str]] = {}


def batches(
    fields: Iterable[tuple[str, str]],
    *,
    connections: int,
    together: int,
    total: int,
    path: Callable[[int], str] | None = None,
) -> list[bytes]:
    """Return what the connections send in turn: ``total`` requests, ``together`` in each batch.

    ``path`` returns that of the request with a number; without it, all are for /.
    """
    fields = list(fields)
    first = _PSEUDO + _ROOT
    first += b"".join(
        b"\x40" + _string(name) + _string(value) for name, value in fields
    )  # literals that enter the table
    known = bytes([0x80 | 62 + index for index in reversed(range(len(fields)))])
    found = []
    number = 0
    for turn in range(total // (connections * together) + 1):
        for _ in range(connections):
            frames = []
            for index in range(together):
                block = first if turn == 0 and index == 0 else b""
                if not block:
                    target = _ROOT if path is None else b"\x04" + _string(path(number))
                    block = target + _PSEUDO + known
                frames.append(_frame(_HEADERS, _ENDS, 2 * (turn * together + index) + 1, block))
                number += 1
            found.append(b"".join(frames))
    return found


def is_good(answer: bytes) -> bool:
    """Return whether bytes begin with the head of a response whose status is 200."""
    return answer[3] == _HEADERS and answer[9:10] == _OK

"""The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B).

Theory of operation. The code is canonical: codes of one length are consecutive numbers, in the
order of their symbols, and follow those of the shorter ones. So the symbols by length say it all.

A string is decoded byte by byte. What has been read since the last whole symbol is an inner node of
the tree of codes, and there are 256 of them. Each has a row: for every next byte, the symbols that
are completed by it, and the node that follows. A row is made when it is needed for the first time.
Text needs a few dozen of them, so that most of the 256 rows never take memory. Rows are computed
from constants alone: two threads that make the same one replace it by an equal one.
"""

from __future__ import annotations

from typing import Final

_SYMBOLS: Final[dict[int, bytes]] = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\0$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: bytes.fromhex("808283a2b8c2e0e2"),
    21: bytes.fromhex("99a1a7acb0b1b3d1d8d9e3e5e6"),
    22: bytes.fromhex("8184858688929a9ca0a3a4a9aaadb2b5b9babbbdbec4c6e4e8e9"),
    23: bytes.fromhex("0187898a8b8c8d8f93959697989b9d9ea5a6a8aeafb4b6b7bcbfc5e7ef"),
    24: bytes.fromhex("098e9091949fabced7e1eced"),
    25: bytes.fromhex("c7cfeaeb"),
    26: bytes.fromhex("c0c1c8c9cacdd2d5dadbeef0f2f3ff"),
    27: bytes.fromhex("cbccd3d4d6dddedff1f4f5f6f7f8fafbfcfdfe"),
    28: bytes.fromhex("02030405060708 0b0c0e0f 1011121314151718191a1b1c1d1e1f 7fdcf9"),
    30: b"\n\r\x16",
}
"""The symbols by the length of their codes, in bits."""

_END: Final = 256
"""The symbol for the end of a string, whose code is the last: 30 ones. Its beginning pads strings
to whole bytes, and the whole code must not occur."""

_FAULT: Final = "\u0100"
"""Stands for `_END` in what is decoded; no byte is decoded to this character."""


def _tree() -> list[list[int]]:
    """Return the inner nodes: for each bit the number of a node, or ~symbol."""
    nodes = [[0, 0]]
    code = 0
    length = 0
    for size, symbols in _SYMBOLS.items():
        for symbol in [*symbols, _END] if size == 30 else symbols:
            code <<= size - length
            length = size
            at = 0
            for shift in range(size - 1, 0, -1):
                bit = code >> shift & 1
                if nodes[at][bit] == 0:
                    nodes[at][bit] = len(nodes)
                    nodes.append([0, 0])
                at = nodes[at][bit]
            nodes[at][code & 1] = ~symbol
            code += 1
    return nodes


def _padded() -> bytes:
    """Return the nodes at which a string may end: after up to seven ones (section 5.2)."""
    found = [0]
    for _ in range(7):
        found.append(_TREE[found[-1]][1])
    return bytes(found)


_TREE: Final = _tree()
_ENDS: Final = _padded()
_UNMADE: Final[list[str]] = []
_completed: Final[list[list[str]]] = [_UNMADE] * len(_TREE)
"""By node and byte: the symbols that the byte completes."""
_following: Final[list[bytes]] = [b""] * len(_TREE)
"""By node and byte: the next node."""


def _make_row(node: int) -> None:
    completed: list[str] = []
    following = bytearray()
    for byte in range(256):
        at = node
        text = ""
        for shift in range(7, -1, -1):
            at = _TREE[at][byte >> shift & 1]
            if at < 0:
                symbol = ~at
                text += _FAULT if symbol == _END else chr(symbol)
                at = 0
        completed.append(text)
        following.append(at)
    _following[node] = bytes(following)
    _completed[node] = completed  # last: it says that the row is there


def decode(data: bytes) -> str | None:
    """Return the text, a character for each byte; None if ``data`` is not encoded correctly."""
    node = 0
    texts: list[str] = []
    for byte in data:
        row = _completed[node]
        if not row:
            _make_row(node)
            row = _completed[node]
        texts.append(row[byte])
        node = _following[node][byte]
    text = "".join(texts)
    if node not in _ENDS or _FAULT in text:
        return None
    return text

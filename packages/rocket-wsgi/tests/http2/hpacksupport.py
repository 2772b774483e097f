"""Makes field blocks byte by byte."""

from __future__ import annotations

from rocket_wsgi._http2.hpack_decoder import FieldBlock, HpackDecoder


def integer(value: int, bits: int, first: int = 0) -> bytes:
    """Return an integer with a prefix of ``bits`` bits (RFC 7541, section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    value -= most
    encoded = [first | most]
    while value >= 128:
        encoded.append(128 + value % 128)
        value //= 128
    return bytes([*encoded, value])


def string(data: bytes) -> bytes:
    """Return a string that is not in Huffman code."""
    return integer(len(data), 7) + data


def indexed(index: int) -> bytes:
    return integer(index, 7, 0x80)


def literal(name: bytes | int, value: bytes, *, kind: int = 0) -> bytes:
    """Return a literal field: ``kind`` is 0x40 to be indexed, 0x10 to be never indexed, or 0."""
    bits = 6 if kind == 0x40 else 4
    if isinstance(name, int):
        return integer(name, bits, kind) + string(value)
    return bytes([kind]) + string(name) + string(value)


def resize(size: int) -> bytes:
    return integer(size, 5, 0x20)


def pairs(block: FieldBlock) -> list[tuple[str, str]]:
    return [(field.name, field.value) for field in block.fields]


def decoded(*blocks: bytes) -> list[tuple[str, str]]:
    """Return the fields of the last of some blocks of one connection."""
    decoder = HpackDecoder()
    for block in blocks[:-1]:
        decoder.decode(block)
    return pairs(decoder.decode(blocks[-1]))

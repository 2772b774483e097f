"""The masking of payloads (RFC 6455, section 5.3)."""

from __future__ import annotations

from typing import Final

_FEW: Final = 1024
"""The size in bytes up to which one operation on large integers is faster than four translations.

Measured on CPython 3.11: 1.0 us against 4.7 us for 40 bytes, equal at 1024 bytes, and 13 ms against
5 ms for 1 MiB.
"""

_TABLES: Final = [bytes([byte ^ key for byte in range(256)]) for key in range(256)]


def unmask(data: bytes, key: bytes) -> bytes:
    """Return ``data`` with each byte combined with the next of the four bytes of ``key``."""
    size = len(data)
    if size > _FEW:
        result = bytearray(data)
        for place in range(4):
            result[place::4] = result[place::4].translate(_TABLES[key[place]])
        return bytes(result)
    keys = (key * ((size + 3) >> 2))[:size]
    plain = int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")
    return plain.to_bytes(size, "little")


def rotate(key: bytes, count: int) -> bytes:
    """Return the key for what follows ``count`` bytes that were unmasked with ``key``."""
    shift = count & 3
    return key[shift:] + key[:shift]

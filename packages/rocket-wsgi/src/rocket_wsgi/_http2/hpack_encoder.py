"""Field blocks for a client, encoded without a dynamic table (RFC 7541).

The bytes of a field are the same for every connection, because they refer to the static table only.
So threads need no lock around the encoding, and fields that come again are remembered for all
connections. These are the server's fields and the application's, except secret ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rocket_wsgi._http2.static_table import STATIC
from rocket_wsgi._repeat_cache import RepeatCache

NO_TABLE: Final = b"\x20"
"""Says that the table has the size 0. It begins the next block after the client has demanded a
smaller table than the initial one (sections 4.2 and 6.3)."""

_SECRET: Final = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
"""The names whose values no proxy on the way may put into a table (section 7.1.3)."""

_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
)
"""The names of fields that HTTP/2 does not have (RFC 9113, section 8.2.2)."""

_LONGEST: Final = 256
"""The maximum length of a value that is remembered."""

_NAMES: Final = {field.name: number for number, field in reversed(list(enumerate(STATIC, 1)))}
_WHOLE: Final = {
    (field.name, field.value): bytes([0x80 | number])
    for number, field in enumerate(STATIC, 1)
    if field.value
}


class _Encoded(RepeatCache[tuple[str, str], bytes]):
    """Fields that come again, by name and value as the application spells them."""

    __slots__ = ()

    def __missing__(self, field: tuple[str, str]) -> bytes:
        name, value = field
        encoded = _encode(name.lower(), value)
        if len(value) <= _LONGEST and name.lower() not in _SECRET:
            self.offer(field, encoded)
        return encoded


_encoded: Final = _Encoded()


def encode_response(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    """Return the block of a response. Names may be in any case; see `encode_fields`."""
    return _encoded[":status", str(status)] + encode_fields(fields)


def encode_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return the block of ``fields``, without those that HTTP/2 does not have.

    Raises `UnicodeEncodeError` for what is not latin-1.
    """
    encoded = _encoded
    return b"".join([encoded[field] for field in fields])


def encode_once(name: str, value: str) -> bytes:
    """Return the block of one field that hardly comes again, so that it is not remembered.

    ``name`` is in lower case.
    """
    return _encode(name, value)


def _encode(name: str, value: str) -> bytes:
    if name in _CONNECTION:
        return b""
    value = value.strip(" \t")  # section 8.2.1 of RFC 9113
    whole = _WHOLE.get((name, value))
    if whole is not None:
        return whole
    first = 0x10 if name in _SECRET else 0x00  # never indexed; not indexed
    number = _NAMES.get(name)
    if number is not None:
        return _integer(first, 4, number) + _string(value)
    return bytes([first]) + _string(name) + _string(value)


def _string(text: str) -> bytes:
    data = text.encode("latin-1")
    return _integer(0, 7, len(data)) + data


def _integer(first: int, bits: int, value: int) -> bytes:
    """Return an integer after a prefix of ``bits`` bits in the byte ``first`` (section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    encoded = bytearray([first | most])
    value -= most
    while value >= 0x80:
        encoded.append(0x80 | value & 0x7F)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)

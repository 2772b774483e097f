"""The first message of a client, parsed before OpenSSL reads it (RFC 8446, section 4.1.2).

OpenSSL tells Python nothing of what a client offers before a certificate is chosen. But a client
that offers ``acme-tls/1`` gets another certificate (RFC 8737), and one that offers only protocols
which the server does not speak is refused (RFC 7301).
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

RECORD_HEADER: Final = 5
"""Bytes of a record before its content (RFC 8446, section 5.1)."""

_LARGEST: Final = RECORD_HEADER + (1 << 14)
"""Bytes of the largest record of a handshake."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_MESSAGE_HEADER: Final = RECORD_HEADER + 4
"""Bytes of the record before the content of the message in it."""
_SESSION_ID: Final = _MESSAGE_HEADER + 2 + 32
"""The place of the session ID in the record, behind a version and random bytes."""

_EXTENSION: Final = Struct(">HH")
"""The header of an extension: its type, and the size of its content."""
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43
_TLS_1_3: Final = 0x0304


class Offers(NamedTuple):
    """What a client offers.

    Attributes:
        protocols: the names of protocols (ALPN, RFC 7301, section 3.1), in the client's order;
            empty if it offers none.
        tls_1_3: whether the client offers TLS 1.3 (RFC 8446, section 4.2.1).
    """

    protocols: tuple[bytes, ...] = ()
    tls_1_3: bool = False


NO_OFFERS: Final = Offers()


def record_size(data: bytes) -> int:
    """Return the size in bytes of the record at the beginning of ``data``.

    While the header is incomplete, that is the size of the header.
    """
    if len(data) < RECORD_HEADER:
        return RECORD_HEADER
    return RECORD_HEADER + int.from_bytes(data[3:RECORD_HEADER], "big")


def offers_of(record: bytes) -> Offers:
    """Return what a ClientHello offers.

    If ``record`` holds no ClientHello, only a part of one, or a damaged one, that is nothing, and
    OpenSSL judges it alone.
    """
    try:
        return _parse(record)
    except IndexError:
        return NO_OFFERS


def _parse(record: bytes) -> Offers:
    """Return what a ClientHello offers. Raises `IndexError` if it is cut short."""
    if record[0] != _HANDSHAKE or record[RECORD_HEADER] != _CLIENT_HELLO:
        return NO_OFFERS
    end = _MESSAGE_HEADER + int.from_bytes(record[RECORD_HEADER + 1 : _MESSAGE_HEADER], "big")
    if end > min(record_size(record), len(record)):
        return NO_OFFERS  # the message goes on in another record
    at = _SESSION_ID + 1 + record[_SESSION_ID]
    at += 2 + int.from_bytes(record[at : at + 2], "big")  # behind the ciphers
    at += 1 + record[at]  # behind the compression methods
    at += 2  # the size of all extensions, which take up the rest
    protocols: tuple[bytes, ...] = ()
    tls_1_3 = False
    while at + _EXTENSION.size <= end:
        kind, size = _EXTENSION.unpack_from(record, at)
        at += _EXTENSION.size
        if at + size > end:
            return NO_OFFERS
        if kind == _ALPN:
            protocols = tuple(_names(record[at + 2 : at + size]))
        elif kind == _SUPPORTED_VERSIONS:
            tls_1_3 = _TLS_1_3 in _versions(record[at + 1 : at + size])
        at += size
    return Offers(protocols, tls_1_3)


def _names(body: bytes) -> list[bytes]:
    """Return the names in a list of them, each of which follows its size."""
    names = []
    at = 0
    while at < len(body):
        end = at + 1 + body[at]
        names.append(body[at + 1 : end])
        at = end
    return names


def _versions(body: bytes) -> list[int]:
    return [int.from_bytes(body[at : at + 2], "big") for at in range(0, len(body), 2)]


class ClientHello:
    """The first message of a client while it arrives.

    Attributes:
        received: the bytes of the first record so far, and what has arrived behind it.
    """

    __slots__ = ("received",)

    def __init__(self) -> None:
        self.received = b""

    def take(self, data: bytes) -> bool:
        """Add bytes; return whether the message is complete, or is none.

        ``data`` is not empty.
        """
        self.received += data
        # Other data than a handshake is for OpenSSL to refuse; its length may mean anything.
        return self.received[0] != _HANDSHAKE or len(self.received) >= min(
            record_size(self.received), _LARGEST
        )

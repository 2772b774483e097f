"""The first message of a client, parsed before OpenSSL reads it (RFC 8446, section 4.1.2).

OpenSSL tells Python nothing of the protocols that a client offers before a certificate is chosen,
and a client that offers ``acme-tls/1`` gets another certificate (RFC 8737).
"""

from __future__ import annotations

from typing import Final

RECORD_HEADER: Final = 5
"""Bytes of a record before its content (RFC 8446, section 5.1)."""

_LARGEST: Final = RECORD_HEADER + (1 << 14)
"""Bytes of the largest record of a handshake."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_ALPN: Final = 16
_VERSION_AND_RANDOM: Final = 34


class _Reader:
    """Reads one field after the other. Raises `ValueError` where a field is cut short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        self._at += size
        if self._at > len(self._data):
            raise ValueError("a field is cut short")
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """Return a field that follows its own length; the length takes ``size`` bytes."""
        return self.take(self.number(size))


def record_size(data: bytes) -> int:
    """Return the size in bytes of the record at the beginning of ``data``.

    While the header is incomplete, that is the size of the header.
    """
    if len(data) < RECORD_HEADER:
        return RECORD_HEADER
    return RECORD_HEADER + int.from_bytes(data[3:RECORD_HEADER], "big")


def offered_protocols(record: bytes) -> list[bytes]:
    """Return the protocols that a ClientHello offers by ALPN (RFC 7301, section 3.1).

    The list is empty if ``record`` holds no ClientHello, or only a part of one.
    """
    try:
        return _protocols(_Reader(record))
    except ValueError:
        return []


def _protocols(record: _Reader) -> list[bytes]:
    if record.number(1) != _HANDSHAKE:
        return []
    record.take(2)
    message = _Reader(record.vector(2))
    if message.number(1) != _CLIENT_HELLO:
        return []
    hello = _Reader(message.vector(3))
    hello.take(_VERSION_AND_RANDOM)
    hello.vector(1)  # the session's id
    hello.vector(2)  # ciphers
    hello.vector(1)  # compression
    extensions = _Reader(hello.vector(2)) if hello.more else hello
    while extensions.more:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == _ALPN:
            names = _Reader(_Reader(body).vector(2))
            found = []
            while names.more:
                found.append(names.vector(1))
            return found
    return []


class ClientHello:
    """The first message of a client while it arrives.

    Attributes:
        received: the bytes of the first record so far, and what has arrived behind it.
    """

    __slots__ = ("received",)

    def __init__(self) -> None:
        self.received = b""

    def take(self, data: bytes) -> list[bytes] | None:
        """Add bytes, and return the protocols that the client offers; None while some are missing.

        ``data`` is not empty.
        """
        self.received += data
        # Other data than a handshake is for OpenSSL to refuse; its length may mean anything.
        whole = self.received[0] != _HANDSHAKE or len(self.received) >= min(
            record_size(self.received), _LARGEST
        )
        return offered_protocols(self.received) if whole else None

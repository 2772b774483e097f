"""A parser for the header of the PROXY protocol, versions 1 and 2.

The section numbers are those of the protocol's specification, doc/proxy-protocol.txt in the sources
of HAProxy.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from rocket_core._errors import ProxyHeaderError
from rocket_core._network.address import Peer, peer_of

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""The first bytes of a header of version 2."""

PREFIX: Final = b"PROXY "
"""The first bytes of a header of version 1."""

MAX_LINE: Final = 107
"""The most bytes of a line of version 1, with its CR LF (section 2.1)."""

FIXED: Final = 16
"""The bytes at the beginning of a header of version 2 that give its length (section 2.2)."""

MAX_HEADER: Final = 4096
"""The most bytes of a header of version 2, more than proxies send with all their fields."""

_PORT: Final = re.compile(r"(?:0|[1-9][0-9]{0,4})\Z")
_FAMILIES: Final[dict[str, Callable[[str], IPv4Address | IPv6Address]]] = {
    "TCP4": IPv4Address,
    "TCP6": IPv6Address,
}

_VERSION: Final = 0x20
_LOCAL: Final = 0
_PROXY: Final = 1
_STREAM: Final = 1
_PROTOCOLS: Final = frozenset({0, 1, 2})
_PATH: Final = 108

_TLV_CRC32C: Final = 0x03
_TLV_SSL: Final = 0x20
_CLIENT_SSL: Final = 0x01


class Announcement(NamedTuple):
    """What a proxy says about the connection that it forwards.

    Attributes:
        peer: the address of the client.
        local: the address to which the client has connected.
        secure: whether the client speaks TLS with the proxy.
    """

    peer: Peer
    local: Peer
    secure: bool


def parse_line(line: bytes) -> Announcement | None:
    """Parse a line of version 1 with its CR LF (section 2.1).

    The result is None if the proxy announces no addresses: then those of the socket apply. Raises
    `ProxyHeaderError`.
    """
    if len(line) > MAX_LINE or not line.endswith(b"\r\n"):
        raise ProxyHeaderError("the line does not end in CR LF within 107 bytes")
    words = line[:-2].decode("latin-1").split(" ")
    if words[:2] == ["PROXY", "UNKNOWN"]:
        return None
    if len(words) != 6 or words[0] != "PROXY" or words[1] not in _FAMILIES:
        raise ProxyHeaderError("the line is not PROXY, a family, two addresses and two ports")
    family = _FAMILIES[words[1]]
    hosts = [_host(word, family) for word in words[2:4]]
    ports = [_port(word) for word in words[4:]]
    peer, local = map(peer_of, zip(hosts, ports, strict=True))
    return Announcement(peer, local, secure=False)


def _host(word: str, family: Callable[[str], IPv4Address | IPv6Address]) -> str:
    try:
        address = family(word)
    except ValueError as error:
        raise ProxyHeaderError("an address is not of the family that the line names") from error
    if "%" in word:
        raise ProxyHeaderError("an address has a zone")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _port(word: str) -> int:
    if not _PORT.match(word) or int(word) > 65535:
        raise ProxyHeaderError("a port is not a number from 0 to 65535")
    return int(word)


def header_size(fixed: bytes) -> int:
    """The length in bytes of a header of version 2, given its first 16.

    Raises `ProxyHeaderError` if it is too long.
    """
    size = FIXED + int.from_bytes(fixed[14:16])
    if size > MAX_HEADER:
        raise ProxyHeaderError(f"the header has {size} bytes, more than {MAX_HEADER}")
    return size


def parse_header(header: bytes) -> Announcement | None:
    """Parse a whole header of version 2 (section 2.2); the result is as that of `parse_line`."""
    version, command = header[12] & 0xF0, header[12] & 0x0F
    if version != _VERSION or command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"the version and command {header[12]:#04x} are unknown")
    if command == _LOCAL:
        return None
    family, protocol = header[13] >> 4, header[13] & 0x0F
    if family not in _SIZES or protocol not in _PROTOCOLS:
        raise ProxyHeaderError(f"the family and protocol {header[13]:#04x} are unknown")
    rest = FIXED + _SIZES[family]
    if len(header) < rest:
        raise ProxyHeaderError("the header is too short for its addresses")
    secure = _read_additions(header, rest)
    if family == _UNSPECIFIED or protocol != _STREAM:
        return None
    peer, local = _addresses(header[FIXED:rest], family)
    return Announcement(peer, local, secure)


_UNSPECIFIED: Final = 0
_INET: Final = 1
_INET6: Final = 2
_UNIX: Final = 3

_SIZES: Final = {_UNSPECIFIED: 0, _INET: 12, _INET6: 36, _UNIX: 2 * _PATH}
"""The number of bytes of the addresses of each family."""


def _addresses(block: bytes, family: int) -> tuple[Peer, Peer]:
    if family == _UNIX:
        return _path(block[:_PATH]), _path(block[_PATH:])
    size, name = (4, socket.AF_INET) if family == _INET else (16, socket.AF_INET6)
    ports = struct.unpack("!HH", block[2 * size :])
    hosts = [socket.inet_ntop(name, block[at : at + size]) for at in (0, size)]
    return peer_of((hosts[0], ports[0])), peer_of((hosts[1], ports[1]))


def _path(block: bytes) -> Peer:
    if block[:1] == b"\0":  # an abstract name, or none
        name = block.rstrip(b"\0")
        return peer_of(name) if name else peer_of("")
    return peer_of(os.fsdecode(block.partition(b"\0")[0]))


def _read_additions(header: bytes, start: int) -> bool:
    """Check the fields after the addresses; return whether one says that the client speaks TLS."""
    secure = False
    for kind, at, size in _additions(header, start):
        if kind == _TLV_CRC32C:
            if size != 4:
                raise ProxyHeaderError("the checksum does not have four bytes")
            _check_sum(header, at)
        elif kind == _TLV_SSL:
            if size < 5:
                raise ProxyHeaderError("the field about TLS is too short")
            secure = bool(header[at] & _CLIENT_SSL)
    return secure


def _additions(header: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """The type, offset and size of each field after the addresses."""
    while at < len(header):
        if at + 3 > len(header):
            raise ProxyHeaderError("a field is cut short")
        kind, size = struct.unpack_from("!BH", header, at)
        at += 3
        if at + size > len(header):
            raise ProxyHeaderError("a field is longer than the header")
        yield kind, at, size
        at += size


def _check_sum(header: bytes, at: int) -> None:
    """Compare the checksum at ``at`` (section 2.2.3; RFC 9260, appendix A)."""
    claimed = int.from_bytes(header[at : at + 4])
    if crc32c(header[:at] + bytes(4) + header[at + 4 :]) != claimed:
        raise ProxyHeaderError("the checksum is wrong")


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - a register
        table.append(value)
    return table


_CRC_TABLE: Final = _crc_table()


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of ``data``."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF

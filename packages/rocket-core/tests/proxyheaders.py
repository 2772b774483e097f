"""PROXY protocol headers, version 2, as a proxy sends them."""

from __future__ import annotations

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header(command: int, family: int, block: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def inet(peer: tuple[str, int], local: tuple[str, int]) -> bytes:
    """The addresses of a connection, of the family that they have."""
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    hosts = socket.inet_pton(family, peer[0]) + socket.inet_pton(family, local[0])
    return hosts + struct.pack("!HH", peer[1], local[1])


def paths(peer: bytes, local: bytes) -> bytes:
    return peer.ljust(108, b"\0") + local.ljust(108, b"\0")


def field(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value

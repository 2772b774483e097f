"""Which connections come from one client."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

    from rocket_core._connection.connection import Connection

_HOST_BITS: Final = 64
"""Bits of an IPv6 address that a client chooses for itself (RFC 4291, section 2.5.1)."""


def origin_of(connection: Connection) -> Hashable:
    """What all connections of one client have in common: its IPv4 address, or its IPv6 /64.

    Where the peer is a proxy that does not say for which client it asks, as behind a Unix socket,
    each connection is a client of its own: all clients of the proxy are not to suffer for one.
    """
    host, peer = connection.client, connection.peer
    if host is None:
        if peer.port == 0 and peer.is_unix:
            return connection
        host = peer.host
    if not host:
        return connection
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped
    return int(address) >> _HOST_BITS if mapped is None else str(mapped)

"""Tell which exchanges come from one client."""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rocket_core._exchange import Exchange

_HOST_BITS: Final = 64
"""Bits of an IPv6 address that a client chooses for itself (RFC 4291, section 2.5.1)."""


def origin_of(exchange: Exchange) -> Hashable:
    """Return what all exchanges of one client have in common: its IPv4 address, or its IPv6 /64.

    Where the peer is a proxy that does not tell the client, as behind a Unix socket, each
    connection counts as a client of its own: otherwise all clients of the proxy would suffer for
    one of them.
    """
    host, peer = exchange.client, exchange.connection.peer
    if host is None:
        if peer.port == 0 and peer.is_unix:
            return exchange.connection
        host = peer.host
    return origin_of_host(host) if host else exchange.connection


def origin_of_host(host: str) -> Hashable:
    """Return the same for the address ``host`` of a client."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped
    return int(address) >> _HOST_BITS if mapped is None else str(mapped)

"""The nodes that proxies name: clients and other proxies (RFC 7239, section 6)."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.authority import MAX_PORT

_NODE: Final = re.compile(
    r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\]|(unknown)|(_[A-Za-z0-9._-]+))"
    r"(?::(?:([0-9]{1,5})|_[A-Za-z0-9._-]+))?\Z",
    re.IGNORECASE,
)
_BARE_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]+\Z")
_UNIX: Final = "unix:"
"""The name that nginx has for a client of a Unix socket."""

_REMEMBERED: Final = 512
"""The maximum number of remembered nodes."""

_LONGEST: Final = 64
"""The maximum length of a text whose node is remembered, in characters."""


class Node(NamedTuple):
    """A client or proxy that has sent the request.

    Attributes:
        host: its IP address; empty for a client of a Unix socket; None if it is not disclosed.
        port: its port as digits; None if it is not disclosed.
    """

    host: str | None
    port: str | None


UNDISCLOSED: Final = Node(None, None)
"""A node that the proxy says nothing about."""


def parse_node(text: str) -> Node:
    """Parse an address (IPv6 in brackets), ``unknown`` or ``_NAME``, with or without a port.

    Raises `HeadError` with status 400 for any other text.
    """
    match = _NODE.match(text)
    if match is None:
        raise HeadError(400, "a proxy sent an invalid address of its client")
    ipv4, ipv6, unknown, hidden, port = match.groups()
    if port is not None:
        port = parse_port(port) if port.strip("0") else None
    if unknown or hidden:
        return UNDISCLOSED
    return Node(_ipv4(ipv4) if ipv4 else _ipv6(ipv6), port)


class _LooseNodes(dict[str, Node]):
    """The nodes of texts that were parsed before; their number is bounded."""

    def __missing__(self, text: str) -> Node:
        node = _read_loose_node(text)
        if len(text) <= _LONGEST:
            if len(self) >= _REMEMBERED:
                self.clear()  # instead of tracking which clients have left
            self[text] = node
        return node


_loose_nodes: Final = _LooseNodes()


def parse_loose_node(text: str) -> Node:
    """Parse an element of ``X-Forwarded-For``: also IPv6 without brackets, and ``unix:``.

    Raises `HeadError` with status 400 for any other text.
    """
    return _loose_nodes[text]


def _read_loose_node(text: str) -> Node:
    if text.count(":") > 1 and _BARE_IPV6.match(text):
        return Node(_ipv6(text), None)
    if text == _UNIX:
        return Node("", None)
    return parse_node(text)


def parse_port(text: str) -> str:
    """Return the digits of a port without leading zeros. Raises `HeadError` with status 400."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= MAX_PORT):
        raise HeadError(400, "a proxy sent a port that is not a number from 1 to 65535")
    return str(int(text))


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise HeadError(400, "a proxy sent an invalid address of its client") from error


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise HeadError(400, "a proxy sent an invalid address of its client") from error
    return str(address.ipv4_mapped or address)

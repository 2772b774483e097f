"""Who sent a request on: the nodes that proxies name (RFC 7239, section 6)."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple

from rocket_core.http1 import HeadError

_NODE: Final = re.compile(
    r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\]|(unknown)|(_[A-Za-z0-9._-]+))"
    r"(?::(?:([0-9]{1,5})|_[A-Za-z0-9._-]+))?\Z",
    re.IGNORECASE,
)
_BARE_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]+\Z")
_UNIX: Final = "unix:"
"""What nginx calls a client of a Unix socket."""

_REMEMBERED: Final = 512
_LONGEST: Final = 64


class Node(NamedTuple):
    """One that sent the request on.

    Attributes:
        host: its address; empty for a Unix socket's, None where the proxy does not tell.
        port: its port as digits, None where the proxy does not tell.
    """

    host: str | None
    port: str | None


NOBODY: Final = Node(None, None)
"""One of whom nothing is told."""


def parse_node(text: str) -> Node:
    """Read a node with or without a port: an address, IPv6 in brackets, ``unknown`` or ``_NAME``.

    Raises `HeadError` with status 400.
    """
    match = _NODE.match(text)
    if match is None:
        raise HeadError(400, "a proxy names an address that is none")
    ipv4, ipv6, unknown, hidden, port = match.groups()
    if port is not None:
        port = parse_port(port) if port.strip("0") else None
    if unknown or hidden:
        return NOBODY
    return Node(_ipv4(ipv4) if ipv4 else _ipv6(ipv6), port)


class _LooseNodes(dict[str, Node]):
    """Nodes that were read; a bounded number is remembered."""

    def __missing__(self, text: str) -> Node:
        node = _read_loose_node(text)
        if len(text) <= _LONGEST:
            if len(self) >= _REMEMBERED:
                self.clear()  # clients come and go
            self[text] = node
        return node


_loose_nodes: Final = _LooseNodes()


def parse_loose_node(text: str) -> Node:
    """Read a node as ``X-Forwarded-For`` has it: IPv6 without brackets, too, and ``unix:``.

    Raises `HeadError` with status 400.
    """
    return _loose_nodes[text]


def _read_loose_node(text: str) -> Node:
    if text.count(":") > 1 and _BARE_IPV6.match(text):
        return Node(_ipv6(text), None)
    if text == _UNIX:
        return Node("", None)
    return parse_node(text)


def parse_port(text: str) -> str:
    """A port's canonical digits. Raises `HeadError` with status 400."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535):
        raise HeadError(400, "a proxy names a port that is no number from 1 to 65535")
    return str(int(text))


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise HeadError(400, "a proxy names an address that is none") from error


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise HeadError(400, "a proxy names an address that is none") from error
    return str(address.ipv4_mapped or address)

"""Addresses to listen on and addresses of peers."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from rocket_core._errors import AddressError

_WANTED = "use HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH"


class Peer(NamedTuple):
    """One end of a connection. A Unix socket has its path, or nothing, as host and port 0."""

    host: str
    port: int

    @property
    def is_unix(self) -> bool:
        """Whether it is the end of a Unix socket."""
        return self.port == 0 and not _is_ip(self.host)

    def __str__(self) -> str:
        if self.is_unix:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def peer_of(address: Any) -> Peer:
    """The peer for an address as the `socket` module gives it."""
    if isinstance(address, tuple):
        # To a socket for both versions, IPv4 comes mapped (RFC 4291, section 2.5.5.2).
        return Peer(
            address[0].removeprefix("::ffff:") if "." in address[0] else address[0], address[1]
        )
    if isinstance(address, bytes):  # a Linux abstract name
        return Peer(_in_one_line("@" + address[1:].decode(errors="replace")), 0)
    # Whoever may name a Unix socket must not pass it off as an address.
    path = _in_one_line(address or "")
    return Peer(f"./{path}" if _is_ip(path) else path, 0)


def _in_one_line(name: str) -> str:
    """A name that whoever made it may have chosen to break the line of a log."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class TCPAddress:
    """A host name or IP address, empty for every interface, and a port, 0 for any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a Unix domain socket."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TCPAddress | UnixAddress


def address_of(name: Any) -> Address:
    """The address to listen on for a name as `socket.socket.getsockname` gives it.

    That of a link (RFC 4007) has its zone, ``fe80::7%eth0``: without it, it names no one place.
    """
    if not isinstance(name, tuple):
        return UnixAddress(Path(peer_of(name).host))
    host, port, *rest = name
    zone = rest[1] if len(rest) > 1 else 0
    return TCPAddress(f"{host}%{_zone(zone)}" if zone else host, port)


def _zone(number: int) -> str:
    """What the system calls a zone: the name of its interface, or its number if that is gone."""
    try:
        return socket.if_indextoname(number)
    except OSError:
        return str(number)


def parse_address(text: str) -> Address:
    """Read ``HOST:PORT``, ``[IPV6]:PORT``, ``:PORT`` or ``unix:PATH``.

    Raises `AddressError`, whose message says what is wrong and what would be right.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise AddressError(f"address {text!r} has no path; {_WANTED}")
        if not hasattr(socket, "AF_UNIX"):
            raise AddressError(f"address {text!r}: this platform has no Unix sockets")
        return UnixAddress(Path(path))
    host, colon, port = text.rpartition(":")
    if not colon:
        raise AddressError(f"address {text!r} has no port; {_WANTED}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise AddressError(f"address {text!r} has no IPv6 address in its brackets; {_WANTED}")
    elif ":" in host:
        raise AddressError(f"address {text!r}: an IPv6 address needs brackets; {_WANTED}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5) or int(port) > 65535:
        raise AddressError(f"address {text!r}: port {port!r} is not a number from 0 to 65535")
    return TCPAddress(host, int(port))

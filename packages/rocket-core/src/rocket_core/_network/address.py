"""Addresses to listen on and addresses of peers."""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names.

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

from rocket_core._errors import AddressError

_WANTED = "use HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH"


class Peer(NamedTuple):
    """The address of one end of a connection.

    Attributes:
        host: an IP address; the path of a Unix socket, which may be empty.
        port: 0 for a Unix socket.
    """

    host: str
    port: int

    @property
    def is_unix(self) -> bool:
        """Whether this is the address of a Unix socket."""
        return self.port == 0 and not _is_ip(self.host)

    def __str__(self) -> str:
        if self.is_unix:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_UNNAMED: Final = Peer("", 0)
"""A client of a Unix socket that has not bound its own, as most have not."""


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def peer_of(address: Any) -> Peer:
    """The `Peer` for an address in the form of the `socket` module."""
    if isinstance(address, tuple):
        # A socket for both versions has IPv4 addresses in mapped form (RFC 4291, 2.5.5.2).
        return Peer(
            address[0].removeprefix("::ffff:") if "." in address[0] else address[0], address[1]
        )
    if isinstance(address, bytes):  # a Linux abstract name
        return Peer(_in_one_line("@" + address[1:].decode(errors="replace")), 0)
    if not address:
        return _UNNAMED
    # A client that names its own Unix socket must not pass for an IP address.
    path = _in_one_line(address)
    return Peer(f"./{path}" if _is_ip(path) else path, 0)


def _in_one_line(name: str) -> str:
    """``name`` without line breaks, which would let a client write lines of its own into a log."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class TCPAddress:
    """An address of TCP to listen on.

    Attributes:
        host: a host name or an IP address; empty: all addresses, IPv6 and IPv4.
        port: 0: any free port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a Unix socket to listen on."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TCPAddress | UnixAddress
"""An address to listen at."""


def address_of(name: Any) -> Address:
    """The `Address` for a result of `socket.socket.getsockname`.

    A link-local address includes its zone (RFC 4007), as in ``fe80::7%eth0``, because it is unique
    with its zone only. A Linux abstract name becomes ``@name``.
    """
    if isinstance(name, bytes):
        return UnixAddress(Path(peer_of(name).host))
    if isinstance(name, str):
        return UnixAddress(Path(name))
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
    """Parse ``HOST:PORT``, ``[IPV6]:PORT``, ``:PORT`` or ``unix:PATH``.

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

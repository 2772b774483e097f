"""Sockets that are bound to an address."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from rocket_core._errors import BindError
from rocket_core._network.address import Address, TCPAddress, UnixAddress


def bind_socket(
    address: Address, *, ipv6_only: bool = False, reuse_port: bool = False
) -> socket.socket:
    """Make a socket that is bound to ``address`` and does not listen yet.

    The file of a Unix socket that a server has left behind is replaced.

    Args:
        address: the address. The host ``::`` has IPv4 clients, too, as an empty one has.
        ipv6_only: whether the host ``::`` has IPv6 clients only.
        reuse_port: whether sockets of other servers of the same user may be bound to the same
            address of TCP, if they allow it, too (``SO_REUSEPORT``). The system distributes the
            clients among them.

    Raises:
        BindError: it is not possible; the message names the address.
    """
    if isinstance(address, UnixAddress):
        return _bind_unix(address)
    return _bind_tcp(address, ipv6_only=ipv6_only, reuse_port=reuse_port)


class SocketFile:
    """The file of a Unix socket, which is only removed if no other server has replaced it."""

    def __init__(self, path: Path) -> None:
        """Remember the file at ``path``. Raises `OSError` if there is none."""
        self._path = path.absolute()  # the working directory may change before it is removed
        self._inode = _inode(path)

    def remove(self) -> None:
        """Remove the file if it is still the same one."""
        with suppress(OSError):
            if _inode(self._path) == self._inode:
                self._path.unlink()


def _inode(path: Path) -> tuple[int, int]:
    status = path.lstat()  # a link in its place is another file
    return status.st_dev, status.st_ino


def _bind_tcp(address: TCPAddress, *, ipv6_only: bool, reuse_port: bool) -> socket.socket:
    host, port = address.host, address.port
    both = socket.has_dualstack_ipv6() and (not host or (host == "::" and not ipv6_only))
    try:
        if both:
            family, target = socket.AF_INET6, ("::", port, 0, 0)
        else:
            found = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, target = found[0][0], found[0][4]  # type: ignore[assignment]
    except (OSError, UnicodeError) as error:
        raise BindError(f"cannot listen on {address}: {error}") from error
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        sock.bind(target)
    except OSError as error:
        sock.close()
        raise BindError(f"cannot listen on {address}: {error.strerror}") from error
    return sock


def _bind_unix(address: UnixAddress) -> socket.socket:
    path = str(address.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise BindError(f"cannot listen on {address}: the file is not a socket")
            if _answers(path):
                raise BindError(f"cannot listen on {address}: Address already in use")
            os.unlink(path)
        sock.bind(path)
    except BindError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        raise BindError(f"cannot listen on {address}: {error.strerror or error}") from error
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # its backlog is full, or it allows other users only: a server has it
        return True

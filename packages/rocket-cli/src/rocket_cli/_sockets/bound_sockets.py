"""The listening sockets, which the supervisor binds and its processes share."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from rocket_cli._errors import CommandError
from rocket_cli._logging.privileges import Maker, give_name, maker
from rocket_cli._settings.bind import Bind
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.identity import Identity, identity
from rocket_cli._sockets.forks import keep_from_children
from rocket_cli._sockets.port_user import port_user
from rocket_core import Address, BindError, TCPAddress, UnixAddress, address_of
from rocket_core.extending import SocketFile, bind_socket

_ADVICE = {
    errno.EADDRINUSE: "stop what listens there, or choose another with --bind",
    errno.EADDRNOTAVAIL: "--bind takes an address of this machine",
    errno.EACCES: "--bind takes a port, or a path, that this user may listen on",
    errno.ENOENT: "--bind takes a path in a directory that exists",
}
_PRIVILEGED = (
    "only root may listen on ports below 1024: start as root with --user, let a socket unit of "
    "systemd listen, or allow it by setcap cap_net_bind_service=+ep on the interpreter"
)


@dataclass(frozen=True, slots=True, eq=False)
class BoundSocket:
    """A listening socket.

    Attributes:
        bind: the address in the settings.
        socket: the socket.
        file: the file of a Unix socket, which is removed at the end.
        user: the user with whose rights that file was made, if not with those of this process.
    """

    bind: Bind
    socket: socket.socket
    file: SocketFile | None = None
    user: Identity | None = None

    def __post_init__(self) -> None:
        keep_from_children(self.socket)

    @property
    def address(self) -> Address:
        """The address; for port 0, with the port that the system chose."""
        if isinstance(self.bind.address, UnixAddress):
            return self.bind.address
        return address_of(self.socket.getsockname())

    def location(self, *, certificate: bool) -> str:
        """Return where clients reach the socket: a URL, or ``unix:PATH``.

        ``certificate`` says whether there is one; then an address without a scheme uses HTTPS.
        """
        scheme = "https" if self.bind.secure(certificate=certificate) else "http"
        return location_of(self.address, scheme)

    def close(self, *, keep_file: bool = False) -> None:
        """Close this process's copy, and remove the file of a Unix socket unless ``keep_file``."""
        if self.file is not None and isinstance(self.bind.address, UnixAddress) and not keep_file:
            with suppress(OSError), maker(self.bind.address.path, self.user):
                self.file.remove()
        self.socket.close()


def location_of(address: Address, scheme: str) -> str:
    """Return where clients reach ``address``: a URL, or ``unix:PATH``."""
    return str(address) if isinstance(address, UnixAddress) else f"{scheme}://{address}"


def open_sockets(chosen: Chosen, present: Sequence[BoundSocket] = ()) -> list[BoundSocket]:
    """Return a listening socket for each address in the settings, in the same order.

    Sockets in ``present`` with one of these addresses are taken over. Raises `CommandError`; then
    the sockets that were opened are closed again.
    """
    if not chosen["bind"]:
        raise CommandError(f"{chosen.origin('bind')}: no address is given: give at least one")
    left = list(present)
    opened: list[BoundSocket] = []
    found: list[BoundSocket] = []
    try:
        for bind in chosen["bind"]:
            same = next((each for each in left if each.bind.address == bind.address), None)
            if same is None:
                same = _open(bind, chosen)
                opened.append(same)
            else:
                left.remove(same)
                same = replace(same, bind=bind)
            found.append(same)
    except CommandError:
        close_sockets(opened)
        raise
    return found


def close_sockets(sockets: Iterable[BoundSocket], *, keep_files: bool = False) -> None:
    """Close each of ``sockets``, and remove the files of Unix sockets unless ``keep_files``."""
    for each in sockets:
        each.close(keep_file=keep_files)


def listen(
    bind: Bind, chosen: Chosen, backlog: int, *, private: bool = False, reuse_port: bool = False
) -> BoundSocket:
    """Return a listening socket; the file of a Unix socket belongs to the user in the settings.

    With ``private`` only that user, and root, can connect to it. With ``reuse_port`` other servers
    may listen on the address, too. Raises `BindError`, and `CommandError` for an invalid user.
    """
    address = bind.address
    if not isinstance(address, UnixAddress):
        sock = bind_socket(
            address,
            ipv6_only=chosen["ipv6-only"] or _has_ipv4_beside(address, chosen["bind"]),
            reuse_port=reuse_port,
        )
        _listen(sock, address, backlog)
        return BoundSocket(bind, sock)
    user = identity(chosen)
    try:
        with maker(address.path, user) as made_by:
            sock = bind_private(address) if private else bind_socket(address)
            _listen(sock, address, backlog)
            try:
                file = SocketFile(address.path)
                if made_by is Maker.ROOT and user is not None:
                    give_name(address.path, user)
            except OSError:
                sock.close()
                raise
    except BindError:
        raise
    except OSError as error:
        raise BindError(f"cannot listen on {address}: {error.strerror}") from error
    return BoundSocket(bind, sock, file, user)


def _has_ipv4_beside(address: TCPAddress, binds: Iterable[Bind]) -> bool:
    """Return whether IPv4 clients have an address of their own with the port of ``address``.

    A socket for both versions could not be bound then.
    """
    return address.port > 0 and any(
        isinstance(each.address, TCPAddress)
        and each.address.port == address.port
        and each.address.host
        and ":" not in each.address.host
        for each in binds
    )


def _listen(sock: socket.socket, address: Address, backlog: int) -> None:
    try:
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise BindError(f"cannot listen on {address}: {error.strerror}") from error


def bind_private(address: UnixAddress) -> socket.socket:
    """Bind a Unix socket that only its user, and root, can connect to. Raises `BindError`.

    The file mode mask of the process is changed meanwhile, so no other thread may create files.
    """
    before = os.umask(0o177)
    try:
        return bind_socket(address)
    finally:
        os.umask(before)


def _open(bind: Bind, chosen: Chosen) -> BoundSocket:
    try:
        return listen(bind, chosen, chosen["backlog"], reuse_port=chosen["reuse-port"])
    except BindError as error:
        number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
        advice = _ADVICE.get(number or 0, "choose another with --bind")
        if number == errno.EADDRINUSE and isinstance(bind.address, TCPAddress):
            found = port_user(bind.address.port)
            if found is not None:
                advice = f"{found} listens there: stop it, or choose another with --bind"
        if number == errno.EACCES and isinstance(bind.address, TCPAddress):
            advice = _PRIVILEGED
        raise CommandError(f"{error}; {advice}") from error


def are_loopback(sockets: Iterable[BoundSocket]) -> bool:
    """Return whether only programs on this machine reach all of ``sockets``, and no proxy is meant.

    A Unix socket is mostly for a proxy, so it does not count.
    """
    return all(
        isinstance(each.address, TCPAddress) and is_loopback(each.address.host) for each in sockets
    )


def is_loopback(host: str) -> bool:
    """Return whether ``host``, an IP address, is reached from this machine only."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False

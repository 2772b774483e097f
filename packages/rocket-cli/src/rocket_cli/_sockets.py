"""The sockets that the supervisor binds, and that its processes share."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rocket_cli._bind import Bind
from rocket_cli._command import Chosen
from rocket_cli._errors import CommandError
from rocket_cli._identity import give_file
from rocket_cli._occupant import occupant
from rocket_core import (
    Address,
    BindError,
    SocketFile,
    TCPAddress,
    UnixAddress,
    address_of,
    bind_socket,
)

_ADVICE = {
    errno.EADDRINUSE: "stop what listens there, or choose another with --bind",
    errno.EADDRNOTAVAIL: "--bind takes an address of this machine",
    errno.EACCES: "--bind takes a port, or a path, that this user may listen on",
    errno.ENOENT: "--bind takes a path in a directory that exists",
}


@dataclass(frozen=True, slots=True, eq=False)
class BoundSocket:
    """A listening socket.

    Attributes:
        bind: the address that was asked for.
        socket: the socket.
        file: that of a Unix socket that is removed at the end.
    """

    bind: Bind
    socket: socket.socket
    file: SocketFile | None = None

    @property
    def address(self) -> Address:
        """The address, with the port that the system chose where 0 was asked for."""
        if isinstance(self.bind.address, UnixAddress):
            return self.bind.address
        return address_of(self.socket.getsockname())

    def location(self, *, certificate: bool) -> str:
        """Where clients reach it: a URL, or ``unix:PATH``."""
        if isinstance(self.address, UnixAddress):
            return str(self.address)
        scheme = "https" if self.bind.secure(certificate=certificate) else "http"
        return f"{scheme}://{self.address}"

    def close(self, *, keep_file: bool = False) -> None:
        """Close this process's copy, and remove a Unix socket's file or keep it for others."""
        if self.file is not None and not keep_file:
            self.file.remove()
        self.socket.close()


def open_sockets(chosen: Chosen, present: Sequence[BoundSocket] = ()) -> list[BoundSocket]:
    """A listening socket for each address that is chosen, in that order.

    Those of ``present`` that have one of these addresses are taken over. Raises `CommandError`;
    then nothing new is left open.
    """
    if not chosen["bind"]:
        raise CommandError(f"{chosen.origin('bind')}: no address is given: name at least one")
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
                same = BoundSocket(bind, same.socket, same.file)
            found.append(same)
    except CommandError:
        close_sockets(opened)
        raise
    return found


def close_sockets(sockets: Iterable[BoundSocket], *, keep_files: bool = False) -> None:
    """Close each of ``sockets``."""
    for each in sockets:
        each.close(keep_file=keep_files)


def _open(bind: Bind, chosen: Chosen) -> BoundSocket:
    try:
        sock = bind_socket(bind.address)
        try:
            sock.listen(chosen["backlog"])
            file = None
            if isinstance(bind.address, UnixAddress):
                file = SocketFile(bind.address.path)
                give_file(bind.address.path, chosen)
        except OSError as error:
            sock.close()
            raise BindError(f"cannot listen on {bind.address}: {error.strerror}") from error
    except BindError as error:
        number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
        advice = _ADVICE.get(number or 0, "choose another with --bind")
        if number == errno.EADDRINUSE and isinstance(bind.address, TCPAddress):
            found = occupant(bind.address.port)
            if found is not None:
                advice = f"{found} listens there: stop it, or choose another with --bind"
        raise CommandError(f"{error}; {advice}") from error
    return BoundSocket(bind, sock, file)

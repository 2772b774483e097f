"""The sockets of a systemd socket unit (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

from rocket_cli._errors import CommandError
from rocket_cli._settings.bind import Bind
from rocket_cli._sockets.bound_sockets import BoundSocket
from rocket_core import address_of

_FIRST: Final = 3
"""The first descriptor that systemd passes."""
_SCHEMES: Final = frozenset({"http", "https"})


def activated_sockets(environ: MutableMapping[str, str] = os.environ) -> list[BoundSocket] | None:
    """Return the sockets that systemd has opened for this process, or None without any.

    They replace the addresses in the settings. A socket that is named ``http`` or ``https``
    (FileDescriptorName= in its unit) uses that protocol. The variables are removed from
    ``environ``. Raises `CommandError` for a descriptor that is not a listening stream socket.
    """
    count = environ.pop("LISTEN_FDS", "")
    process = environ.pop("LISTEN_PID", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not count.isdigit() or int(count) == 0:
        return None
    names += [""] * int(count)
    return [
        inherited_socket(_FIRST + index, names[index] if names[index] in _SCHEMES else None)
        for index in range(int(count))
    ]


def inherited_socket(descriptor: int, scheme: str | None) -> BoundSocket:
    """Return a listening socket that another process has opened. Raises `CommandError`."""
    try:
        sock = socket.socket(fileno=descriptor)
        os.set_inheritable(descriptor, False)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise CommandError(f"descriptor {descriptor} is not a socket: {error.strerror}") from error
    if sock.type is not socket.SOCK_STREAM or not listens:
        sock.close()
        raise CommandError(
            f"descriptor {descriptor} is not a listening stream socket: "
            "use ListenStream= and Accept=no in its unit"
        )
    return BoundSocket(Bind(address_of(sock.getsockname()), scheme), sock)

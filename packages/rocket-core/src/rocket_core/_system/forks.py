"""What a process that the application forks does not keep.

A descriptor that a child has inherited keeps a connection open for its client, and an address in
use, for as long as the child lives. So a child lets go of all that belongs to the servers of its
parent, before the application goes on in it. What it cannot know of, such as a connection that is
being accepted at this moment, ends by a shutdown, which all processes with a descriptor share.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    LetGo = Callable[[], None]
    """Closes descriptors in a child: without a lock, and without a word to any client."""

_holders: Final[set[LetGo]] = set()


def hold(let_go: LetGo) -> None:
    """Have ``let_go`` called in every child that is forked from now on."""
    _holders.add(let_go)


def release(let_go: LetGo) -> None:
    """There is nothing to let go of any more."""
    _holders.discard(let_go)


def close_socket(sock: socket.socket) -> None:
    """Close a connected socket for its client, too, whatever processes have inherited it."""
    with suppress(OSError):  # the client has reset it, or both sides have ended
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _let_go() -> None:
    for let_go in list(_holders):
        let_go()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)

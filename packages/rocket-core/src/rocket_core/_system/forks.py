"""Descriptors that a process forked by the application closes.

A descriptor that a child has inherited keeps a connection open for its client, and an address in
use, for as long as the child lives. Therefore a child closes everything that belongs to the servers
of its parent, before the application continues in it.

The functions of `hold` run in the child, right after the fork, on its only thread. Any other thread
of the parent may have held any lock at that moment, and is not there to release it, so they must
not take a lock. A fork can also come between two steps of another thread:

1. A thread accepts a connection. 2. The application forks. 3. The thread makes the connection
known, in the parent only. The child has a descriptor that it does not know of. This is why
`close_socket` shuts a socket down before it closes it, once the process has forked: a shutdown ends
the connection whatever processes have a descriptor of it. A process that has never forked is spared
that system call for each of its connections.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    LetGo = Callable[[], None]
    """A function that closes descriptors in a child; it takes no lock and sends nothing."""

_holders: Final[set[LetGo]] = set()
_forked = False
"""Whether this process has forked. A fork sets it before there is a child, so that no socket that a
child may have is closed without a shutdown."""


def hold(let_go: LetGo) -> None:
    """Have ``let_go`` called in every child that is forked from now on, until `release`."""
    _holders.add(let_go)


def release(let_go: LetGo) -> None:
    """Call ``let_go`` no more."""
    _holders.discard(let_go)


def close_socket(sock: socket.socket) -> None:
    """Close a connected socket, and end its connection even if a child process has it, too."""
    if _forked:
        with suppress(OSError):  # the client has reset it, or both sides have ended
            sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _note_fork() -> None:
    global _forked  # noqa: PLW0603 - of the process, as its children are
    _forked = True


def _let_go() -> None:
    global _forked  # noqa: PLW0603 - the child has no child yet
    _forked = False
    for let_go in list(_holders):
        let_go()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_note_fork, after_in_child=_let_go)

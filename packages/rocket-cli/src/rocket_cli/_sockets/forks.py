"""The sockets that a process forked by the application must not keep.

A process that the supervisor forks needs sockets that it inherits, and closes the others itself.
A process that the application forks, at import or in a request, needs none of them: its copies
would keep addresses in use, and channels open, after the end of the server.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    import socket

_sockets: Final[WeakSet[socket.socket]] = WeakSet()
_forking: Final[set[int]] = set()
"""The threads that fork a process of the supervisor."""


def keep_from_children(sock: socket.socket) -> None:
    """Close the copy of ``sock`` in every process that the application forks."""
    _sockets.add(sock)


@contextmanager
def own_fork() -> Iterator[None]:
    """Keep all sockets in a process that this thread forks in this block."""
    thread = threading.get_ident()
    _forking.add(thread)
    try:
        yield
    finally:
        _forking.discard(thread)


def _let_go() -> None:
    if threading.get_ident() not in _forking:
        for each in list(_sockets):
            each.close()


os.register_at_fork(after_in_child=_let_go)

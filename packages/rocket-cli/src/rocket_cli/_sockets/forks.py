"""What a process that the application forks does not keep.

The supervisor's own processes need what they inherit, and close what they do not need themselves.
All others, whether forked while the application is imported or by a request, would keep addresses
in use and channels open after the processes to which these belong have ended.
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
"""The thread that forks a process of the supervisor's."""


def keep_from_children(sock: socket.socket) -> None:
    """Have every process that the application forks close its copy of ``sock``."""
    _sockets.add(sock)


@contextmanager
def own_fork() -> Iterator[None]:
    """Entered to fork a process that keeps what it inherits."""
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

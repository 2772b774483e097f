"""Waiting for clients of a listening socket, alone or together with other processes.

Only the listener's thread waits. Any thread, and a signal handler, may end the wait by the
listener's waker. Several processes may wait for one socket; how a client wakes one of them, and not
all, is the kernel's part:

1. Processes A and B have registered the socket with ``EPOLLEXCLUSIVE``, A first. 2. A client
arrives, and the kernel wakes A (epoll_ctl(2) promises only that it wakes at least one). 3. A
accepts, and registers again, behind B. 4. The next client wakes B. If both wake for one client, one
of them accepts it, and the other finds nothing and waits again, because the socket does not block.
"""

from __future__ import annotations

import select
import selectors
import socket
import sys
from collections.abc import Callable
from typing import Protocol

from rocket_core._system.waker import Waker


class AcceptWait(Protocol):
    """The wait of a listener's thread for clients to accept.

    Attributes:
        owes: whether a client may have woken this process alone when `wait` returned last, and none
            was accepted since. Such a client must be accepted here, since no other process knows
            of it.
    """

    owes: bool

    def close(self) -> None:
        """Close the descriptors."""

    def wait(self) -> bool:
        """Wait until a client has arrived or the waker is set; return whether the waker is set."""

    def accepted(self) -> None:
        """Take note that a client was accepted."""


class SoleAcceptWait:
    """The wait for a socket from which only this process accepts."""

    def __init__(self, listening: socket.socket, waker: Waker, full: Callable[[], bool]) -> None:
        """Wait for clients of ``listening``, whether the server is full or not, and ``waker``."""
        del full
        self.owes = False
        self._waker = waker.descriptor
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._waker, selectors.EVENT_READ)

    def close(self) -> None:
        self._selector.close()

    def wait(self) -> bool:
        return any(key.fd == self._waker for key, _ in self._selector.select())

    def accepted(self) -> None:
        return


if sys.platform == "linux":

    class SharedAcceptWait:
        """The wait for a socket from which several processes accept, each about as many clients.

        With ``EPOLLEXCLUSIVE`` a client wakes one of the processes that wait, the one that was
        registered first (epoll_ctl(2) promises one at least). So a process that has accepted
        registers again, behind all others.

        A process that is woken alone must not leave the client where it is:

        1. Two processes wait; the first one is full, or is told to accept no more. 2. A client
        connects, and wakes the first one alone. 3. It accepts none. 4. The client waits, and the
        other process sleeps, until a next client comes.

        Therefore a process that is full waits without ``EPOLLEXCLUSIVE``: a client wakes it, for
        there may be connections to close in the client's favour, and one of the others. And where
        it becomes full, or is told to leave, after it was woken alone, ``owes`` tells that it has
        to accept once more.
        """

        def __init__(
            self, listening: socket.socket, waker: Waker, full: Callable[[], bool]
        ) -> None:
            """Wait for clients of ``listening``, and for ``waker``; alone unless ``full``."""
            self.owes = False
            self._full = full
            self._listening = listening.fileno()
            self._waker = waker.descriptor
            self._exclusive = True
            self._epoll = select.epoll()
            self._epoll.register(self._waker, select.EPOLLIN)
            self._register()

        def _register(self) -> None:
            exclusive = select.EPOLLEXCLUSIVE if self._exclusive else 0
            self._epoll.register(self._listening, select.EPOLLIN | exclusive)

        def close(self) -> None:
            self._epoll.close()

        def wait(self) -> bool:
            exclusive = not self._full()
            if exclusive is not self._exclusive:
                self._exclusive = exclusive
                self._epoll.unregister(self._listening)
                self._register()
            ready = [descriptor for descriptor, _ in self._epoll.poll()]
            self.owes = exclusive and self._listening in ready
            return self._waker in ready

        def accepted(self) -> None:
            self.owes = False
            self._epoll.unregister(self._listening)
            self._register()

else:  # pragma: no cover - not Linux
    SharedAcceptWait = SoleAcceptWait

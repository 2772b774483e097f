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
from typing import Protocol

from rocket_core._system.waker import Waker


class AcceptWait(Protocol):
    """The wait of a listener's thread for clients."""

    def close(self) -> None:
        """Close the descriptors."""

    def wait(self) -> bool:
        """Wait until a client has arrived or the waker is set; return whether the waker is set."""

    def accepted(self) -> None:
        """Take note that a client was accepted."""


class SoleAcceptWait:
    """The wait for a socket from which only this process accepts."""

    def __init__(self, listening: socket.socket, waker: Waker) -> None:
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
        """The wait for a socket from which several processes accept, each about as many clients."""

        def __init__(self, listening: socket.socket, waker: Waker) -> None:
            self._listening = listening.fileno()
            self._waker = waker.descriptor
            self._epoll = select.epoll()
            self._epoll.register(self._waker, select.EPOLLIN)
            self._epoll.register(self._listening, select.EPOLLIN | select.EPOLLEXCLUSIVE)

        def close(self) -> None:
            self._epoll.close()

        def wait(self) -> bool:
            return any(descriptor == self._waker for descriptor, _ in self._epoll.poll())

        def accepted(self) -> None:
            self._epoll.unregister(self._listening)
            self._epoll.register(self._listening, select.EPOLLIN | select.EPOLLEXCLUSIVE)

else:  # pragma: no cover - not Linux
    SharedAcceptWait = SoleAcceptWait

"""Waiting for clients of a listening socket, alone or beside other processes."""

from __future__ import annotations

import select
import selectors
import socket
import sys
from collections.abc import Callable
from typing import Protocol

from rocket_core._system.waker import Waker


class AcceptWait(Protocol):
    """Waits for clients to accept. Used by the thread of a listener alone.

    Attributes:
        owes: whether a client may have woken this process alone when `wait` returned last, and none
            was accepted since. Such a client must be accepted here, since no other process knows
            of it.
    """

    owes: bool

    def close(self) -> None:
        """Release the descriptors."""

    def wait(self) -> bool:
        """Wait until a client or the signal is there; return whether the signal is."""

    def accepted(self) -> None:
        """Note that a client was accepted."""


class AllClients:
    """For a socket that only this process accepts from."""

    def __init__(self, listening: socket.socket, signal: Waker, full: Callable[[], bool]) -> None:
        """Wait for clients of ``listening``, whether the server is full or not, and ``signal``."""
        del full
        self.owes = False
        self._signal = signal.descriptor
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._signal, selectors.EVENT_READ)

    def close(self) -> None:
        self._selector.close()

    def wait(self) -> bool:
        return any(key.fd == self._signal for key, _ in self._selector.select())

    def accepted(self) -> None:
        return


if sys.platform == "linux":

    class SharedClients:
        """For a socket that several processes accept from, which are to get a like number.

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
            self, listening: socket.socket, signal: Waker, full: Callable[[], bool]
        ) -> None:
            """Wait for clients of ``listening``, and for ``signal``; alone unless ``full``."""
            self.owes = False
            self._full = full
            self._listening = listening.fileno()
            self._signal = signal.descriptor
            self._exclusive = True
            self._epoll = select.epoll()
            self._epoll.register(self._signal, select.EPOLLIN)
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
            return self._signal in ready

        def accepted(self) -> None:
            self.owes = False
            self._epoll.unregister(self._listening)
            self._register()

else:  # pragma: no cover - not Linux
    SharedClients = AllClients

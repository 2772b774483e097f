"""Waiting for clients of a listening socket, alone or beside other processes."""

from __future__ import annotations

import select
import selectors
import socket
import sys
from typing import Protocol

from rocket_core._system.waker import Waker


class AcceptWait(Protocol):
    """Waits for somebody to accept."""

    def close(self) -> None:
        """Release the descriptors."""

    def wait(self) -> bool:
        """Wait until a client or the signal is there; whether the signal is."""

    def accepted(self) -> None:
        """A client was accepted."""


class AllClients:
    """For a socket that only this process accepts from."""

    def __init__(self, listening: socket.socket, signal: Waker) -> None:
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

        With ``EPOLLEXCLUSIVE`` a client wakes one of those that wait: the one that was registered
        first (epoll_ctl(2) promises one at least). So whoever has accepted registers again, behind
        all others.
        """

        def __init__(self, listening: socket.socket, signal: Waker) -> None:
            self._listening = listening.fileno()
            self._signal = signal.descriptor
            self._epoll = select.epoll()
            self._epoll.register(self._signal, select.EPOLLIN)
            self._epoll.register(self._listening, select.EPOLLIN | select.EPOLLEXCLUSIVE)

        def close(self) -> None:
            self._epoll.close()

        def wait(self) -> bool:
            return any(descriptor == self._signal for descriptor, _ in self._epoll.poll())

        def accepted(self) -> None:
            self._epoll.unregister(self._listening)
            self._epoll.register(self._listening, select.EPOLLIN | select.EPOLLEXCLUSIVE)

else:  # pragma: no cover - not Linux
    SharedClients = AllClients

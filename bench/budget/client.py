"""The clients of a server that runs on the same thread: they act when it is about to wait.

So everything happens in one order, whatever the machine does meanwhile: while the server has
something to do no client moves, and when it has nothing, all of them do. The connections are those
of Unix sockets, since what is sent over TCP may arrive a moment later, even here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

CONNECTIONS: Final = 8
"""Clients, whose requests the server finds together."""

WARM_UP: Final = 320
"""Requests before anything counts: until then code is specialised and caches are filled."""

SECTION: Final = 160
"""Requests between two marks."""

SECTIONS: Final = 3

TOTAL: Final = WARM_UP + SECTION * SECTIONS + CONNECTIONS
"""Requests that are sent, of which the last are not waited for."""

MARK: Final = "getpriority"
"""The function that ends a section: callgrind and strace know it by this name."""

_GOOD: Final = b"HTTP/1.1 200 "
_LARGEST: Final = 65536


def _is_good(answer: bytes) -> bool:
    return answer.startswith(_GOOD)


class OverError(Exception):
    """All sections are done."""


def pairs(add: Callable[[socket.socket], None]) -> Callable[[], socket.socket]:
    """A way to connect that needs nobody who accepts: ``add`` gets the server's end."""

    def connect() -> socket.socket:
        client, server = socket.socketpair()
        add(server)
        return client

    return connect


@dataclass(frozen=True)
class Load:
    """What clients send.

    Attributes:
        requests: what they send in turn.
        fresh: whether each request has a connection of its own.
        connections: how many there are.
        together: the number of requests in each of ``requests``, which are answered together.
        opening: what is sent first on a connection, and answered by anything.
        good: tells whether an answer is good.
    """

    requests: Sequence[bytes]
    fresh: bool = False
    connections: int = CONNECTIONS
    together: int = 1
    opening: bytes = b""
    good: Callable[[bytes], bool] = _is_good


class Clients:
    """A few connections, on each of which a request follows the answer to the last.

    Attributes:
        opened: connections so far.
        over: whether all sections are done.
    """

    def __init__(
        self,
        load: Load,
        connect: Callable[[], socket.socket],
        *,
        size: int = _LARGEST,
    ) -> None:
        """Connect nobody yet.

        Args:
            load: what is sent.
            connect: makes a connection to the server, and returns the client's end.
            size: bytes of an answer; by default what the first one has.
        """
        self._load: Final = load
        self._requests: Final = iter(load.requests)
        self._opening = load.opening
        self._open: Final = connect
        self._size = size
        self.opened = 0
        self.over = False
        self._clients: list[socket.socket] = []
        self._until_mark = WARM_UP
        self._marks = 0

    def act(self) -> None:
        """Take the answers that have arrived, and send the next requests.

        Raises `OverError` after the last section.
        """
        if not self._clients:
            self._clients = [self._connect() for _ in range(self._load.connections)]
            for client in self._clients:
                client.send(self._opening or next(self._requests))
            return
        if self._opening:
            self._opening = b""
            for client in self._clients:
                client.recv(_LARGEST)
                client.send(next(self._requests))
            return
        for index, client in enumerate(self._clients):
            self._check(client.recv(self._size))
            if self._load.fresh:
                client.close()
                self._clients[index] = self._connect()
            self._clients[index].send(next(self._requests))
        self._until_mark -= self._load.connections * self._load.together
        if not self._until_mark:
            self._mark()

    def _connect(self) -> socket.socket:
        client = self._open()
        client.setblocking(False)
        self.opened += 1
        return client

    def _check(self, answer: bytes) -> None:
        if self._size == _LARGEST:
            self._size = len(answer)
        if len(answer) != self._size or not self._load.good(answer):
            raise ValueError(f"an answer is {answer[:200]!r}")

    def _mark(self) -> None:
        """End a section, with a call that nobody else makes: see `MARK`."""
        os.getpriority(os.PRIO_PROCESS, 0)
        self._marks += 1
        self._until_mark = SECTION
        if self._marks > SECTIONS:
            for client in self._clients:
                client.close()
            self.over = True
            raise OverError

"""Encrypted records that a socket has not taken yet."""

from __future__ import annotations

import socket
from collections import deque
from typing import Protocol


class Budget(Protocol):
    """What all connections of a server may hold for their clients."""

    def take(self, wanted: int, *, at_least: int) -> int:
        """Take up to ``wanted`` bytes, and ``at_least`` so many in any case; how many."""

    def give_back(self, count: int) -> None:
        """Give back ``count`` bytes that were taken."""


class Backlog:
    """Encrypted records that are to be sent, in order.

    Records of content were made of bytes that the caller offers again until they are `claimed
    <claim>`; the other records were made by OpenSSL itself. All of them count as output that the
    server holds, and no record is refused for that: encrypted once, it must be sent.

    Attributes:
        size: bytes that the socket has yet to take.
        owed: bytes before encryption that are not `claimed <claim>`.
    """

    __slots__ = ("_budget", "_records", "_sent", "owed", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._records: deque[tuple[bytes, int]] = deque()
        self._sent = 0
        """The bytes of the first record that the socket has taken."""
        self.size = 0
        self.owed = 0

    def add(self, record: bytes, content: int = 0) -> None:
        """Append a record made of ``content`` bytes that are offered again, or of nobody's."""
        self._records.append((record, content))
        self.size += len(record)
        self.owed += content
        self._budget.take(len(record), at_least=len(record))

    def send(self, sock: socket.socket) -> bool:
        """Send records without waiting; return whether all are sent. Raises `OSError`."""
        while self._records:
            record, _ = self._records[0]
            try:
                self.took(sock.send(memoryview(record)[self._sent :]))
            except (BlockingIOError, InterruptedError):
                return False
        return True

    def took(self, count: int) -> None:
        """The socket has taken ``count`` bytes more."""
        self.size -= count
        self._budget.give_back(count)
        self._sent += count
        while self._records and self._sent >= len(self._records[0][0]):
            self._sent -= len(self._records.popleft()[0])

    def claim(self, limit: int) -> int:
        """Return how many of the bytes that the caller offers now were in records that are sent.

        The caller offers ``limit`` bytes. It must not offer the returned number of them again.
        """
        count = min(limit, self.owed - sum(content for _, content in self._records))
        self.owed -= count
        return count

    def clear(self) -> None:
        """Drop everything."""
        self._budget.give_back(self.size)
        self._records.clear()
        self.size = self.owed = self._sent = 0

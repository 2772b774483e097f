"""Records that a socket has yet to take."""

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
    """What is encrypted and not sent, in order; what it was made of will be offered again.

    It counts as output that is held for clients, and is never refused for that.

    Attributes:
        size: bytes that the socket has yet to take.
        owed: bytes before encryption that are not `claimed <claim>`.
    """

    __slots__ = ("_budget", "_records", "_sent", "owed", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._records: deque[tuple[bytes, int]] = deque()
        self._sent = 0
        """Bytes of the first record that the socket has taken."""
        self.size = 0
        self.owed = 0

    def add(self, record: bytes, content: int = 0) -> None:
        """Append a record made of ``content`` bytes that are offered again, or of nobody's."""
        self._records.append((record, content))
        self.size += len(record)
        self.owed += content
        self._budget.take(len(record), at_least=len(record))

    def send(self, sock: socket.socket) -> bool:
        """Send what ``sock`` takes; whether that was all. Raises `OSError`."""
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
        """How many of the ``limit`` bytes offered now were in records that are sent."""
        count = min(limit, self.owed - sum(content for _, content in self._records))
        self.owed -= count
        return count

    def clear(self) -> None:
        """Drop everything."""
        self._budget.give_back(self.size)
        self._records.clear()
        self.size = self.owed = self._sent = 0

"""Records that a socket has yet to take."""

from __future__ import annotations

import socket
from collections import deque
from typing import Protocol


class Budget(Protocol):
    """What all connections of a server may hold for their clients."""

    def take_for(self, held: int, wanted: int, *, all_of_it: bool) -> int:
        """Take up to ``wanted`` bytes for a holder of ``held`` bytes; how many."""

    def give_back_for(self, held: int, count: int) -> None:
        """Give back ``count`` bytes of the ``held`` that one holder has taken."""


class Backlog:
    """What is encrypted and not sent, in order; what it was made of will be offered again.

    It counts as output that is held for clients, and is never refused for that.

    Attributes:
        size: bytes that the socket has yet to take.
        answers: bytes of records made of nobody's that the socket has yet to take whole.
        owed: bytes before encryption that are not `claimed <claim>`.
    """

    __slots__ = ("_budget", "_records", "_sent", "answers", "owed", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._records: deque[tuple[bytes, int]] = deque()
        self._sent = 0
        """Bytes of the first record that the socket has taken."""
        self.size = 0
        self.answers = 0
        self.owed = 0

    def add(self, record: bytes, content: int = 0) -> None:
        """Append a record made of ``content`` bytes that are offered again, or of nobody's."""
        self._records.append((record, content))
        self._budget.take_for(self.size, len(record), all_of_it=True)
        self.size += len(record)
        self.owed += content
        if not content:
            self.answers += len(record)

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
        self._budget.give_back_for(self.size, count)
        self.size -= count
        self._sent += count
        while self._records and self._sent >= len(self._records[0][0]):
            record, content = self._records.popleft()
            self._sent -= len(record)
            if not content:
                self.answers -= len(record)

    def claim(self, limit: int) -> int:
        """How many of the ``limit`` bytes offered now were in records that are sent."""
        count = min(limit, self.owed - sum(content for _, content in self._records))
        self.owed -= count
        return count

    def clear(self) -> None:
        """Drop everything."""
        self._budget.give_back_for(self.size, self.size)
        self._records.clear()
        self.size = self.answers = self.owed = self._sent = 0

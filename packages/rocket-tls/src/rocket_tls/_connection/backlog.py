"""Encrypted records that a socket has not taken yet."""

from __future__ import annotations

import socket
from collections import deque
from typing import Protocol


class Budget(Protocol):
    """The output that all connections of a server may hold together."""

    def take_for(self, held: int, wanted: int, *, all_of_it: bool) -> int:
        """Take up to ``wanted`` bytes for a holder of ``held`` bytes; return the number."""

    def give_back_for(self, held: int, count: int) -> None:
        """Give back ``count`` of the ``held`` bytes that one holder has taken."""


class Backlog:
    """Encrypted records that are to be sent, in order.

    Records of content were made of bytes that the caller offers again until they are `claimed
    <claim>`; the other records were made by OpenSSL itself. All of them count as output that the
    server holds, and no record is refused for that: encrypted once, it must be sent.

    Attributes:
        size: the encrypted bytes that the socket has not taken yet.
        answers: the encrypted bytes of OpenSSL's own records that the socket has not taken whole.
        owed: the bytes of content that the caller has not claimed yet.
    """

    __slots__ = ("_budget", "_records", "_sent", "answers", "owed", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._records: deque[tuple[bytes, int]] = deque()
        self._sent = 0
        """The bytes of the first record that the socket has taken."""
        self.size = 0
        self.answers = 0
        self.owed = 0

    def add(self, record: bytes, content: int = 0) -> None:
        """Append a record of ``content`` bytes; 0 for a record that OpenSSL made by itself."""
        self._records.append((record, content))
        self._budget.take_for(self.size, len(record), all_of_it=True)
        self.size += len(record)
        self.owed += content
        if not content:
            self.answers += len(record)

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
        """Note that the socket has taken ``count`` more bytes."""
        self._budget.give_back_for(self.size, count)
        self.size -= count
        self._sent += count
        while self._records and self._sent >= len(self._records[0][0]):
            record, content = self._records.popleft()
            self._sent -= len(record)
            if not content:
                self.answers -= len(record)

    def claim(self, limit: int) -> int:
        """Return how many of the bytes that the caller offers now were in records that are sent.

        The caller offers ``limit`` bytes. It must not offer the returned number of them again.
        """
        count = min(limit, self.owed - sum(content for _, content in self._records))
        self.owed -= count
        return count

    def clear(self) -> None:
        """Drop all records."""
        self._budget.give_back_for(self.size, self.size)
        self._records.clear()
        self.size = self.answers = self.owed = self._sent = 0

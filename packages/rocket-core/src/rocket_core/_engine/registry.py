"""Every open connection of a server, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable

from rocket_core._connection.connection import Connection


class Registry:
    """The open connections.

    Needs no lock: single operations on a set are atomic, and a missed change is looked at again by
    those who wait for it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[Connection] = set()
        self._waiting = False
        self.on_room: Callable[[], None] = lambda: None
        """Called when a connection ended after `full` was found true."""
        self.on_empty: Callable[[], None] = lambda: None
        """Called when the last connection has ended."""

    def __len__(self) -> int:
        return len(self._open)

    def snapshot(self) -> list[Connection]:
        """The connections open now."""
        return list(self._open)

    def full(self) -> bool:
        """Whether no further connection may be accepted."""
        if len(self._open) < self._limit:
            return False
        self._waiting = True
        return len(self._open) >= self._limit

    def add(self, connection: Connection) -> None:
        """``connection`` was accepted."""
        self._open.add(connection)

    def remove(self, connection: Connection) -> None:
        """``connection`` was closed."""
        self._open.discard(connection)
        if self._waiting:
            self._waiting = False
            self.on_room()
        if not self._open:
            self.on_empty()

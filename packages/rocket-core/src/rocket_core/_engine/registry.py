"""Every open connection of a server, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable

from rocket_core._connection.connection import Connection


class Registry:
    """The open connections. Any thread may call any method.

    There is no lock. Single operations on a set are atomic, and a thread that waits for a change
    looks again when it is told of one: a listener for room, and the Monitor's thread for the end.
    """

    def __init__(
        self,
        limit: int,
        on_room: Callable[[], None] = lambda: None,
        on_empty: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without connections.

        Args:
            limit: how many there may be, before `full` returns True.
            on_room: called when a connection has ended after `full` had returned True.
            on_empty: called whenever the last open connection has ended.
        """
        self._limit = limit
        self._on_room = on_room
        self._on_empty = on_empty
        self._open: set[Connection] = set()
        self._waiting = False

    def __len__(self) -> int:
        return len(self._open)

    def snapshot(self) -> list[Connection]:
        """Return the connections that are open now."""
        return list(self._open)

    def full(self) -> bool:
        """Return whether no further connection may be accepted."""
        if len(self._open) < self._limit:
            return False
        self._waiting = True
        # 1. A listener finds the server full. 2. The last connection ends, and nothing says that a
        # listener waits. 3. The listener leaves word, too late. 4. So it looks here once more.
        return len(self._open) >= self._limit

    def add(self, connection: Connection) -> None:
        """Add ``connection``, which was accepted."""
        self._open.add(connection)

    def remove(self, connection: Connection) -> None:
        """Remove ``connection``, which is closed."""
        self._open.discard(connection)
        if self._waiting:
            self._waiting = False
            self._on_room()
        if not self._open:
            self._on_empty()

"""Every open connection of a server, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable

from rocket_core._connection.connection import Connection
from rocket_core._connection.turn_taker import TurnTaker


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
            on_empty: called whenever the last open connection has ended, or the last protocol has
                been told so.
        """
        self._limit = limit
        self._on_room = on_room
        self._on_empty = on_empty
        self._open: set[Connection] = set()
        self._leaving: set[TurnTaker] = set()
        """The shared connections that are over, and whose protocols have yet to be told."""
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

    @property
    def empty(self) -> bool:
        """Whether no connection is open, and all protocols have been told of the ends of theirs."""
        return not self._open and not self._leaving

    @property
    def leaving(self) -> int:
        """The number of shared connections whose protocols have yet to be told of their ends."""
        return len(self._leaving)

    def begin_leaving(self, taker: TurnTaker) -> None:
        """Note that ``taker`` is about to be over, and has to be told."""
        self._leaving.add(taker)

    def end_leaving(self, taker: TurnTaker) -> None:
        """Note that ``taker`` was told."""
        self._leaving.discard(taker)
        # 1. The last connection is closed. 2. Its protocol is told, on another thread. Each of the
        # two threads has taken its part out before it looks, so one of them finds both gone.
        if not self._leaving and not self._open:
            self._on_empty()

"""The memory for what shared connections, and streams, have received and not handled yet.

Theory of operation
-------------------
A protocol that reads messages holds them until the application has handled them, and holds the
beginning of a message until the rest has come. All connections of a server share one bound for
that. Beyond it, nothing that has come is thrown away: a connection that holds more than `GRAIN`
bytes is *not read any more*, so that its client has to wait (TCP pushes back), until there is room.

Connections that hold the beginnings of messages could so wait for each other for ever. Therefore
one of them is *favoured*: it is read, whatever is held, until it holds no more than `GRAIN` bytes.
So at most one whole message is held beyond the bound, and what each waiting connection had just
received; and each of them gets its turn, in the order in which they began to wait.
"""

from __future__ import annotations

import threading
from typing import Final, Protocol

from rocket_core._connection.budget import GRAIN, TOTAL_INPUT


class Holder(Protocol):
    """A connection, or a stream of one, that holds what it has received.

    The room's lock guards both attributes.

    Attributes:
        held_input: bytes that it holds.
        waits_for_room: whether it is not read.
    """

    held_input: int
    waits_for_room: bool

    def read_again(self) -> None:
        """Note that there is room again for what is received. Any thread may call this."""

    def flush(self) -> None:
        """Carry that out. Any thread may call this."""

    def __hash__(self) -> int: ...


class InputRoom:
    """A bound for what many connections hold together. Any thread may call any method.

    ``_lock`` guards the number of bytes, the connections that wait, the favoured one, and the
    attributes of every `Holder`.
    """

    def __init__(self, limit: int = TOTAL_INPUT) -> None:
        """Have connections wait while they hold more than ``limit`` bytes together."""
        self._limit = limit
        self._lock = threading.Lock()
        self._counted = 0
        self._waiting: dict[Holder, None] = {}
        self._favoured: Holder | None = None
        self._free: list[Holder] = []
        """The connections that wait although they hold little by now."""

    @property
    def held(self) -> int:
        """The bytes that are held, without the first `GRAIN` of each connection."""
        return self._counted

    def hold(self, holder: Holder, count: int) -> None:
        """Note that ``holder`` now holds ``count`` bytes, and whether it has to wait."""
        with self._lock:
            self._counted += max(count - GRAIN, 0) - max(holder.held_input - GRAIN, 0)
            holder.held_input = count
            if count <= GRAIN:
                if self._favoured is holder:
                    self._favoured = None
                if holder in self._waiting:
                    del self._waiting[holder]
                    self._free.append(holder)
            elif self._counted > self._limit and self._favoured is not holder:
                if self._favoured is None and not self._waiting:
                    self._favoured = holder
                elif not holder.waits_for_room:
                    holder.waits_for_room = True
                    self._waiting[holder] = None

    def admit(self) -> list[Holder]:
        """Return the connections that need not wait any more; the caller has them read again."""
        if not self._waiting and not self._free:
            return NO_HOLDERS
        with self._lock:
            found, self._free = self._free, []
            while self._waiting and (self._counted <= self._limit or self._favoured is None):
                holder = next(iter(self._waiting))
                del self._waiting[holder]
                found.append(holder)
                if self._counted > self._limit:
                    self._favoured = holder
            for holder in found:
                holder.waits_for_room = False
        return found


NO_HOLDERS: Final[list[Holder]] = []
"""What is mostly returned. It is not changed."""

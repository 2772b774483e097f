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

A client may begin a message, and send the rest slowly or not at all. The clock for its message runs
while it is read, but many such clients could take one turn after the other, and all others would
wait for them. Therefore, as with bodies in files (`DiskBudget`), *the slowest is cut* while others
wait, if it is clients who keep the room occupied: that is, if most of what is held are beginnings.
It is the slowest of those of which no less than the average has begun. So a client gains nothing by
beginning much, or many messages, and those who send little are spared. What is complete is with the
application, which may take its time; nobody is cut for that.
"""

from __future__ import annotations

import threading
from math import inf
from time import monotonic
from typing import Final, Protocol

from rocket_core._connection.budget import GRAIN, TOTAL_INPUT

RELIEF_GRACE: Final = 5.0
"""Seconds for which connections wait for others, divided by the number of those that wait, before
the slowest of all is cut."""


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

    def input_pace(self, now: float) -> float:
        """Return the bytes per second that have come lately. Any thread may call this."""

    def cut_input(self) -> None:
        """Disconnect the client, which is too slow. Any thread may call this."""

    def __hash__(self) -> int: ...


class InputRoom:
    """A bound for what many connections hold together. Any thread may call any method.

    ``_lock`` guards the numbers of bytes, the connections that wait, the favoured one, when the
    next one may be cut, and the attributes of every `Holder`.

    Attributes:
        crowded: whether connections wait, or need not wait any more and do not know. ``_lock``
            guards it; any thread may read it, after it has noted what it holds.
    """

    def __init__(self, limit: int = TOTAL_INPUT, *, grace: float = RELIEF_GRACE) -> None:
        """Have connections wait while they hold more than ``limit`` bytes together."""
        self._limit = limit
        self._grace = grace
        self._lock = threading.Lock()
        self._counted = 0
        self._begun: dict[Holder, int] = {}
        """The bytes of what has begun to arrive, without the first `GRAIN`."""
        self._begun_bytes = 0
        self._since = inf
        """Since when connections wait, and none was let go on or cut."""
        self._waiting: dict[Holder, None] = {}
        self._favoured: Holder | None = None
        self._free: list[Holder] = []
        """The connections that wait although they hold little by now."""
        self.crowded = False

    @property
    def held(self) -> int:
        """The bytes that are held, without the first `GRAIN` of each connection."""
        return self._counted

    def hold(self, holder: Holder, count: int, begun: int = 0) -> bool:
        """Note that ``holder`` now holds ``count`` bytes, and whether it has to wait.

        Of these, ``begun`` bytes are useless until the client sends more. Returns whether a
        connection waits that did not, so that the caller has the Monitor's thread `look`.
        """
        with self._lock:
            self._counted += max(count - GRAIN, 0) - max(holder.held_input - GRAIN, 0)
            holder.held_input = count
            if begun > GRAIN or holder in self._begun:
                self._note_begun(holder, begun)
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
                    if not self._waiting:
                        self._since = monotonic()
                    self._waiting[holder] = None
                    self.crowded = True
                    return True
        return False

    def _note_begun(self, holder: Holder, begun: int) -> None:
        """With the lock: note how many bytes of a message have begun to arrive."""
        self._begun_bytes -= self._begun.pop(holder, 0)
        if begun > GRAIN:
            self._begun[holder] = begun - GRAIN
            self._begun_bytes += begun - GRAIN

    def admit(self) -> list[Holder]:
        """Return the connections that need not wait any more; the caller has them read again."""
        if not self.crowded:
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
            if found:
                self._since = monotonic() if self._waiting else inf
            self.crowded = bool(self._waiting)
        return found

    def look(self) -> float:
        """Cut the slowest connection if others have waited for long enough.

        Returns the seconds until the next look, infinite while none waits. The Monitor's thread
        calls this.
        """
        if not self._waiting:
            return inf
        now = monotonic()
        with self._lock:
            waiting = len(self._waiting)
            if not waiting:
                return inf
            wait = self._grace / waiting
            due = self._since + wait
            if now < due:
                return due - now
            self._since = now
            victim = self._slowest(now) if self._begun_bytes * 2 > self._counted else None
            if victim is not None:
                # It is not chosen again, and what it holds is free once it is told of its end.
                self._note_begun(victim, 0)
        if victim is not None:
            # 1. The victim is chosen. 2. Its message is complete. 3. It is cut, all the same: it
            # was the slowest for long.
            victim.cut_input()
        return wait

    def _slowest(self, now: float) -> Holder | None:
        """With the lock: return the connection to be cut, or None."""
        if not self._begun:
            return None
        average = self._begun_bytes / len(self._begun)
        return min(
            (each for each, begun in self._begun.items() if begun >= average),
            key=lambda each: each.input_pace(now),
        )


NO_HOLDERS: Final[list[Holder]] = []
"""What is mostly returned. It is not changed."""

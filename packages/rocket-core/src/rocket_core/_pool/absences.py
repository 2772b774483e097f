"""The workers that are away from the pool, and the clients that have to give way.

A worker is away while it waits for its client, while its request is overdue, and while its
application uses a connection that it has taken over. Others take the place of those that are away.
How many places there are is limited, and one client may not have them all:

    =================  ======================  ==================================================
    away for           places                  when they run short
    =================  ======================  ==================================================
    a client           ``max_stalled``         an address that has more than are free for others
                                               loses its slowest connection; with none free, so
                                               does the address that has most of them
    an overdue request ``max_stalled``, too    the worker is not replaced
    a taken connection ``max_upgraded``        the connection is not taken over
    =================  ======================  ==================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_core._connection.origin import origin_of
from rocket_core._reason import CloseReason

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from rocket_core._connection.connection import Connection
    from rocket_core._connection.upgraded_socket import UpgradedSocket

MAX_STALLED: Final = 256
"""Waiting workers that are replaced, at most."""

MAX_UPGRADED: Final = 256
"""Connections that applications have taken over, at most."""

STALL_GRACE: Final = 5.0
"""Seconds that the only worker that waits for its client may do so though others need it. Many that
wait share them."""

_CREDIT: Final = 16 * 1024
"""Bytes that a client is taken to have moved before it was waited for: otherwise the one that has
just begun would be the slowest."""


class Absences:
    """Counts the workers that are away. Every method is called with the lock of the pool."""

    def __init__(self, max_stalled: int, max_upgraded: int) -> None:
        self._max_stalled = max_stalled
        self._max_upgraded = max_upgraded
        self._stalls: dict[Connection, Hashable] = {}
        """The connections whose clients are waited for, with their `origin_of`."""
        self._by_origin: dict[Hashable, set[Connection]] = {}
        """The same, without those that were cut and whose workers are about to come back."""
        self._cut: set[Connection] = set()
        self._overdue: set[object] = set()
        self._upgraded: set[UpgradedSocket] = set()

    def __len__(self) -> int:
        return self._missed + len(self._upgraded)

    @property
    def replaced(self) -> int:
        """How many workers there may be in the place of those that are away."""
        return min(self._missed, self._max_stalled) + len(self._upgraded)

    @property
    def _missed(self) -> int:
        return len(self._stalls) + len(self._overdue)

    # -- waiting for clients -------------------------------------------------------------------

    def stall(self, connection: Connection, now: float) -> None:
        """A worker waits for its client; the slowest of its address may have to give way."""
        if connection.stalled_request != connection.requests:
            connection.stalled_request = connection.requests
            connection.stalled_since = now
        origin = origin_of(connection)
        self._stalls[connection] = origin
        mine = self._by_origin.setdefault(origin, set())
        mine.add(connection)
        # The workers of clients that were cut are about to come back, and count for no address.
        free = self._max_stalled - (self._missed - len(self._cut))
        if len(mine) > max(free, 1) and self._max_stalled:
            self._cut_slowest(mine, now)

    def resume(self, connection: Connection) -> None:
        """The worker does not wait any more."""
        origin = self._stalls.pop(connection)
        self._cut.discard(connection)
        mine = self._by_origin.get(origin)
        if mine is not None:
            mine.discard(connection)
            if not mine:
                del self._by_origin[origin]

    def relieve(self, now: float, waiting: int) -> None:
        """Cut the slowest clients where more workers wait for clients than are replaced.

        As many as there are requests ``waiting`` for a worker, and no more than are too many. Those
        of the address that has most are cut first.
        """
        coming = len(self._cut)
        too_many = self._missed - self._max_stalled
        grace = STALL_GRACE / max(len(self._stalls), 1)
        for _ in range(min(too_many, waiting) - coming):
            late = [
                [each for each in mine if now - each.stalled_since > grace]
                for mine in self._by_origin.values()
            ]
            most = max(map(len, late), default=0)
            if not most:
                return
            self._cut_slowest([each for mine in late if len(mine) == most for each in mine], now)

    def _cut_slowest(self, candidates: Iterable[Connection], now: float) -> None:
        victim = min(candidates, key=lambda each: _standing(each, now))
        self._cut.add(victim)
        self._by_origin[self._stalls[victim]].discard(victim)
        victim.close_reason = CloseReason.SEND_TIMEOUT
        # With the lock, as no other system call: the worker cannot resume before it has the lock,
        # so it cannot have closed the connection, whose descriptor would be another's by now.
        victim.abort()

    # -- overdue requests ----------------------------------------------------------------------

    def replace(self, key: object) -> bool:
        """The worker with the task ``key`` will not come back soon; False: too many are away."""
        if self._missed >= self._max_stalled:
            return False
        self._overdue.add(key)
        return True

    def returned(self, key: object) -> None:
        """The worker with the task ``key``, replaced or not, is done with it."""
        self._overdue.discard(key)

    # -- connections taken over ----------------------------------------------------------------

    def upgrade(self, taken: UpgradedSocket) -> bool:
        """An application takes a connection over; False: too many are already."""
        if len(self._upgraded) >= self._max_upgraded:
            return False
        self._upgraded.add(taken)
        return True

    def downgrade(self, taken: UpgradedSocket) -> None:
        """The application is done with a connection that it has taken over."""
        self._upgraded.discard(taken)

    def upgraded(self) -> list[UpgradedSocket]:
        """The connections that are taken over."""
        return list(self._upgraded)


def _standing(connection: Connection, now: float) -> float:
    """The rate at which its client takes what it is sent, or sends what is read; then the age."""
    return connection.pace(now) + _CREDIT / (now - connection.stalled_since + 1)

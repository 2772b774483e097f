"""The workers that are away from the pool, and the clients that are cut to get workers back.

A worker is away while it waits for its client, while its request is overdue, and while its
application uses a connection that it has taken over. Other workers take the places of such workers.
How many places there are is limited, and one client may not have them all:

    =================  ======================  ==================================================
    away for           places                  when they run short
    =================  ======================  ==================================================
    a client           ``max_stalled``         an address that has more places than are free for
                                               others loses its slowest connection; with no place
                                               free, so does the address that has most places
    an overdue request ``max_stalled``, too    the worker is not replaced
    a taken connection ``max_upgraded``        the connection is not taken over
    =================  ======================  ==================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_core._connection.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from rocket_core._exchange import Exchange, TakenOver
    from rocket_core._lease import Lease

MAX_STALLED: Final = 256
"""Maximum number of workers that wait for their clients, or are overdue, and are replaced."""

MAX_UPGRADED: Final = 256
"""Maximum number of connections that applications have taken over."""

STALL_GRACE: Final = 5.0
"""Seconds that a client may keep a worker although other requests need it, divided by the number of
workers that wait for clients."""

_CREDIT: Final = 16 * 1024
"""Bytes that a client is taken to have moved before it was waited for: otherwise a client that has
just begun would be the slowest."""


class Absences:
    """Counts the workers that are away. Every method is called with the lock of the pool."""

    def __init__(self, max_stalled: int, max_upgraded: int) -> None:
        self._max_stalled = max_stalled
        self._max_upgraded = max_upgraded
        self._stalls: dict[Exchange, Hashable] = {}
        """The exchanges whose clients are waited for, with their `origin_of`."""
        self._by_origin: dict[Hashable, set[Exchange]] = {}
        """The same, without those that were cut and whose workers are about to come back."""
        self._cut: set[Exchange] = set()
        self._overdue: set[Lease] = set()
        self._upgraded: set[TakenOver] = set()

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

    def stall(self, exchange: Exchange, now: float) -> None:
        """Note that a worker waits for its client.

        Where too many wait for clients of the same address, the slowest of these is cut.
        """
        exchange.begin_stall(now)
        origin = origin_of(exchange)
        self._stalls[exchange] = origin
        mine = self._by_origin.setdefault(origin, set())
        mine.add(exchange)
        # The workers of clients that were cut are about to come back, and count for no address.
        free = self._max_stalled - (self._missed - len(self._cut))
        if len(mine) > max(free, 1) and self._max_stalled:
            self._cut_slowest(mine, now)

    def resume(self, exchange: Exchange) -> None:
        """Note that the worker of ``exchange`` does not wait any more."""
        origin = self._stalls.pop(exchange)
        self._cut.discard(exchange)
        mine = self._by_origin.get(origin)
        if mine is not None:
            mine.discard(exchange)
            if not mine:
                del self._by_origin[origin]

    def relieve(self, now: float, waiting: int) -> None:
        """Cut the slowest clients where more workers wait for clients than are replaced.

        As many are cut as there are requests ``waiting`` for a worker, and no more than are too
        many. The clients of the address that has most of them are cut first.
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

    def _cut_slowest(self, candidates: Iterable[Exchange], now: float) -> None:
        victim = min(candidates, key=lambda each: _standing(each, now))
        self._cut.add(victim)
        self._by_origin[self._stalls[victim]].discard(victim)
        # 1. The victim is chosen, and the lock of the pool is held. 2. Its worker notices that the
        # client moves, and would go on, close the connection, and free the descriptor, which the
        # system gives to another client. 3. The worker calls `resume` first, and waits for the
        # lock. So this is done with the lock.
        victim.give_way()

    # -- overdue requests ----------------------------------------------------------------------

    def replace(self, lease: Lease) -> bool:
        """Count the worker with ``lease`` as away; return False when too many are."""
        if self._missed >= self._max_stalled:
            return False
        self._overdue.add(lease)
        return True

    def returned(self, lease: Lease) -> None:
        """Note that the worker with ``lease``, replaced or not, is done with its exchange."""
        self._overdue.discard(lease)

    # -- connections taken over ----------------------------------------------------------------

    def upgrade(self, taken: TakenOver) -> bool:
        """Count a connection that an application takes over; return False when too many are."""
        if len(self._upgraded) >= self._max_upgraded:
            return False
        self._upgraded.add(taken)
        return True

    def downgrade(self, taken: TakenOver) -> None:
        """Note that the application is done with a connection that it has taken over."""
        self._upgraded.discard(taken)

    def upgraded(self) -> list[TakenOver]:
        """Return the connections that applications have taken over."""
        return list(self._upgraded)


def _standing(exchange: Exchange, now: float) -> float:
    """Return the rate at which the client takes or sends, raised while the wait is young."""
    return exchange.pace(now) + _CREDIT / (now - exchange.stalled_since + 1)

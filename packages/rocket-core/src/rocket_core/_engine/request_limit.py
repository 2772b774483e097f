"""The requests that are being served where the time of a request is limited."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from rocket_core._exchange import Exchange
from rocket_core._lease import Hold, Lease

Served = TypeVar("Served", bound=Exchange)


class RequestLimit(Generic[Served]):
    """Gives each exchange that begins a lease, and knows which leases are held.

    `begin` and `end` are called by the workers, the rest by the Monitor's thread, where
    `OverdueWatch` ends what takes too long. There is no lock: single operations on a dictionary are
    atomic, and what happens when the time of a request runs out just as it ends is settled by the
    lock of its lease.
    """

    def __init__(self, begun: Callable[[], None], returned: Callable[[Lease], None]) -> None:
        """Begin without leases.

        Args:
            begun: called when an exchange has begun, and `leases` would find it.
            returned: called when an exchange has ended whose time was up before.
        """
        self._begun = begun
        self._returned = returned
        self._leases: dict[Lease, Served] = {}

    # -- a worker's thread ---------------------------------------------------------------------

    def begin(self, exchange: Served) -> Lease:
        """Give an exchange that the calling thread begins to serve its lease."""
        lease = Lease(time.monotonic())
        exchange.lease = lease
        self._leases[lease] = exchange
        # 1. The Monitor's thread looks at the leases, finds none, and is about to sleep without
        # limit. 2. This lease is added. 3. Only now the thread is told: whether it looked before or
        # after the second step, it looks once more.
        self._begun()
        return lease

    def end(self, lease: Lease, exchange: Served) -> bool:
        """End an exchange; return whether the calling worker still owns the connection."""
        self._leases.pop(lease, None)
        hold = lease.finish()
        if hold is not Hold.OVER:
            self._returned(lease)
        if hold is Hold.OVERTAKEN:
            return False
        exchange.lease = None
        return True

    # -- the Monitor's thread ------------------------------------------------------------------

    def leases(self) -> list[tuple[Lease, Served]]:
        """Return the leases that are held, each with its exchange."""
        return list(self._leases.items())

    def forget(self, lease: Lease) -> None:
        """Stop watching ``lease``: its time was up, or it has no limit any more."""
        self._leases.pop(lease, None)

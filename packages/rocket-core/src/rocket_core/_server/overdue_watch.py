"""Ends requests that take longer than the server's limit, while their threads still run."""

from __future__ import annotations

import logging
import time
from math import inf
from typing import TYPE_CHECKING, Final

from rocket_core._connection.connection import Connection
from rocket_core._connection.shared_request import SharedRequest
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._lease import Hold, Lease
from rocket_core._state import CloseReason

if TYPE_CHECKING:
    from rocket_core._engine.engine import Engine
    from rocket_core._engine.request_limit import RequestLimit
    from rocket_core._engine.seat import Seat
    from rocket_core._pool.thread_pool import ThreadPool
    from rocket_core._system.fault_log import FaultLog

_log = logging.getLogger("rocket_core.watchdog")

_RECHECK: Final = 1.0
"""Seconds until an overdue request whose worker waits for its client is looked at again."""


class OverdueWatch:
    """Answers for workers that take too long, or aborts the connections that they use.

    A watcher of the Monitor's thread, which alone calls it.
    """

    def __init__(
        self,
        limit: RequestLimit[Connection | TurnTaker],
        seconds: float,
        *,
        pool: ThreadPool,
        engine: Engine,
        seat: Seat,
        faults: FaultLog,
    ) -> None:
        """Watch the leases of ``limit``.

        Args:
            limit: knows the requests that are being served.
            seconds: how long one of them may take.
            pool: has another thread take the place of the worker of an overdue request.
            engine: answers for that worker.
            seat: that of the Monitor's thread.
            faults: leaves out stacks that were logged just before.
        """
        self._limit = limit
        self._seconds = seconds
        self._pool = pool
        self._engine = engine
        self._seat = seat
        self._faults = faults
        self._next = -inf

    def look(self) -> float:
        """End what is overdue; return the seconds until the next look, infinite without any."""
        now = time.monotonic()
        if now < self._next:
            return self._next - now
        leases = self._limit.leases()
        if not leases:
            return inf
        due = now - self._seconds
        for lease, exchange in leases:
            if lease.hold is Hold.OVER:  # the application has taken the connection over
                self._limit.forget(lease)
            elif lease.overdue(due):
                self._overtake(lease, exchange, due)
        ends = [lease.began + self._seconds for lease, _ in self._limit.leases()]
        # Requests that are still there though their time is up wait for their clients.
        self._next = min([now + self._seconds, *(e if e > now else now + _RECHECK for e in ends)])
        return self._next - now

    def _overtake(self, lease: Lease, exchange: Connection | TurnTaker, due: float) -> None:
        connection = exchange.connection

        def abort() -> None:
            if isinstance(exchange, SharedRequest):
                exchange.handler.break_off()
                return
            connection.close_reason = CloseReason.REQUEST_TIMEOUT
            connection.abort()

        # 1. The worker is counted as away here. 2. The lease is taken from it. 3. The worker ends
        # the exchange, finds that its time was up, and is counted as back. Were the first two
        # exchanged, the third could come between them, and the worker would be away for ever.
        replaced = self._pool.replace(lease)
        hold = lease.overtake(due, abort)
        if hold not in (Hold.OVERTAKEN, Hold.CUT):
            self._pool.returned(lease)
            return
        self._limit.forget(lease)
        late = lease.late  # looked at after the lease was taken: see `Lease.late`
        if late is not None and isinstance(exchange, Connection):
            # Whoever is told may look at the connection, which is about to be given away.
            late()
        _log.error(
            "%s: %s exceeded request_timeout (%g s): %s; its thread still runs and %s. "
            "It is at: %s",
            connection.peer,
            _doing(lease, exchange),
            self._seconds,
            _consequence(exchange, hold),
            "was replaced" if replaced else "was not replaced, because max_stalled threads are",
            self._faults.stack_of(_log, lease.thread),
        )
        if hold is Hold.CUT and isinstance(exchange, SharedRequest):
            exchange.flush()
        if hold is Hold.OVERTAKEN:
            self._engine.overtake(exchange, self._seat)
        if late is not None and isinstance(exchange, TurnTaker):
            # 1. The application is told, and ends. 2. Its worker releases the request. 3. The
            # answer would come too late, so that it comes first.
            late()


def _doing(lease: Lease, exchange: Connection | TurnTaker) -> object:
    if isinstance(exchange, TurnTaker):
        return exchange.doing()
    return "a request" if lease.context is None else lease.context


def _consequence(exchange: Connection | TurnTaker, hold: Hold) -> str:
    if isinstance(exchange, SharedRequest):
        return "answered without it" if hold is Hold.OVERTAKEN else "broke its response off"
    if isinstance(exchange, TurnTaker):
        return "told its protocol"
    return "answered without it" if hold is Hold.OVERTAKEN else "closed its connection"

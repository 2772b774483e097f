"""What the Monitor's thread does for the clients while no worker has time for them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from rocket_core._connection.shared_request import SharedRequest
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._engine.monitor import BATCH
from rocket_core._pool.urgent_lanes import LONG_WAIT
from rocket_core._state import State

if TYPE_CHECKING:
    from rocket_core._connection.connection import Connection
    from rocket_core._engine.engine import Engine
    from rocket_core._engine.monitor import Monitor
    from rocket_core._engine.seat import Seat
    from rocket_core._pool.thread_pool import ThreadPool
    from rocket_core._pool.urgent_lanes import UrgentLanes

_POLLS: Final = 8
"""Polls in a row, after which the pool is tended however many clients have something to say."""


class StandIn:
    """Receives, sends and closes for all clients, and queues what only a worker can do.

    Used by the Monitor's thread alone, whose seat it has.

    Attributes:
        refused: how many requests were refused so far, since no worker had time for them.
    """

    def __init__(
        self,
        monitor: Monitor,
        pool: ThreadPool,
        engine: Engine,
        urgent_lanes: UrgentLanes,
        seat: Seat,
        *,
        max_queue: int,
        queue_timeout: float,
    ) -> None:
        """Refuse requests beyond ``max_queue``, or that have waited ``queue_timeout`` seconds."""
        self._monitor = monitor
        self._pool = pool
        self._engine = engine
        self._urgent_lanes = urgent_lanes
        self._seat = seat
        self._max_queue = max_queue
        self._queue_timeout = queue_timeout
        self.refused = 0

    def work(self, timeout: float) -> None:
        """Do for all clients what needs no worker, waiting up to ``timeout`` seconds for events."""
        try:
            self._pool.relieve()
            self._sweep()
            for _ in range(_POLLS):
                claimed = self._monitor.poll(timeout)
                self._take_in(claimed)
                if len(claimed) < BATCH:
                    break
                timeout = 0.0
            self._engine.expire_all(self._seat)
        finally:
            self._seat.busy = None

    def _take_in(self, connections: Iterable[Connection]) -> None:
        """Do for claimed connections what needs no worker, and queue the rest."""
        for connection in connections:
            self._queue(connection, waiting=len(self._pool.ready) - len(self._pool.turns))
        self._pool.offer()

    def _sweep(self) -> None:
        """Do the same for all connections that workers have claimed and not begun with."""
        waiting = 0  # the connections behind may have sent nothing yet
        count = len(self._pool.ready)
        # A client that has left must keep no other out.
        crowded = count - len(self._pool.turns) >= self._max_queue
        now = time.monotonic()
        seen: set[Connection | TurnTaker] = set()
        for connection in self._take(count):
            if connection in seen:
                # 1. This thread queues a connection again. 2. Workers take all that is before it.
                # 3. This thread meets it once more, and would count it as one that waits before it.
                self._pool.ready.appendleft(connection)
                break
            seen.add(connection)
            if isinstance(connection, SharedRequest):
                waiting += self._queue_request(connection, waiting=waiting)
                continue
            if isinstance(connection, TurnTaker):
                self._pool.ready.append(connection)  # which waits for a worker, however long
                continue
            if (
                crowded
                and connection.state is State.READY
                and now - connection.claimed_at > LONG_WAIT
                and self._engine.left(connection, self._seat)
            ):
                self._pool.drop_place(connection)
                continue
            waiting += self._queue(connection, waiting=waiting)
        self._pool.offer()

    def _take(self, count: int) -> Iterator[Connection | TurnTaker]:
        """Take up to ``count`` connections from the queue, from which workers take as well."""
        with suppress(IndexError):
            for _ in range(count):
                yield self._pool.ready.popleft()

    def _queue_request(self, request: SharedRequest, *, waiting: int) -> bool:
        """Queue a request of a shared connection, or refuse it; return whether it waits."""
        engine = self._engine
        late = time.monotonic() - request.arrived_at > self._queue_timeout
        if (
            not late
            and not request.handler.gone
            and engine.is_request_urgent(request, self._seat)
            and self._urgent_lanes.submit(request)
        ):
            self._pool.drop_place(request)
            return False
        self._serve_urgent(request)
        if late or request.handler.gone or (waiting >= self._max_queue and not self._pool.polling):
            self.refused += 1
            engine.refuse_request(request)
            self._pool.drop_place(request)
            return False
        self._pool.ready.append(request)
        return True

    def _serve_urgent(self, request: SharedRequest) -> None:
        """Have the urgent requests served that wait behind ``request`` for their turn."""
        while (urgent := request.handler.take_urgent()) is not None:
            if not self._urgent_lanes.submit(urgent):
                urgent.handler.put_back()
                return

    def _queue(self, connection: Connection, *, waiting: int) -> bool:
        """Do what needs no worker, and queue a connection that needs one; return whether it does.

        ``waiting`` tells how many connections wait before it.
        """
        engine, seat = self._engine, self._seat
        now = time.monotonic()
        seat.busy = connection, now
        if not engine.advance(connection, seat):
            return False
        late = now - connection.claimed_at > self._queue_timeout
        urgent = engine.is_urgent(connection, seat)
        seat.busy = None  # before another thread may serve it: see `Seat`
        if urgent is None or (urgent and not late and self._urgent_lanes.submit(connection)):
            self._pool.drop_place(connection)
            return False
        # 1. This thread polls, since all workers are away. 2. A worker comes back, and polls, too.
        # 3. This thread is told of a request. A worker has time for it: it is not one too many.
        if late or (waiting >= self._max_queue and not self._pool.polling):
            self.refused += 1
            engine.refuse(connection, seat)
            self._pool.drop_place(connection)
            return False
        self._pool.ready.append(connection)
        return True

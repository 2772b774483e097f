"""Threads of their own for the few requests that must be served while all workers are busy."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from rocket_core._connection.shared_request import SharedRequest
from rocket_core._system.fault_log import FaultLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_core._connection.connection import Connection
    from rocket_core._engine.engine import Engine
    from rocket_core._engine.seat import Seat, Seats

_log = logging.getLogger("rocket_core.pool")
_faults: Final = FaultLog()

LANES: Final = 8
"""The maximum number of threads. One is enough, unless a request takes long."""

PATIENCE: Final = 0.1
"""Seconds that a request waits for a lane before another lane is opened, or before it waits with
the other requests."""

LONG_WAIT: Final = 0.1
"""Seconds in a queue after which the client may have left, so that this is checked first."""

RETIREMENT: Final = 30.0
"""Seconds without work after which all lanes but one end."""


class UrgentLanes:
    """A few threads beside the pool, the first one started when it is needed.

    A file on a network mount may hold a lane for long. No other request waits behind it: another
    lane is opened, up to `LANES`, and when all are held, what they should serve waits for a worker.

    ``_changed`` guards what waits, connections with the time since when, and the seats of the
    lanes, whose list is replaced and never changed. `submit` and `tend` are called by the Monitor's
    thread.
    """

    def __init__(
        self, engine: Engine, seats: Seats, pass_on: Callable[[Connection | SharedRequest], None]
    ) -> None:
        """Begin without threads.

        Args:
            engine: serves the connections.
            seats: makes a seat for each thread.
            pass_on: takes a READY connection that does not belong here, or not any more.
        """
        self._engine = engine
        self._makes_seats = seats
        self._pass_on = pass_on
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[tuple[Connection | SharedRequest, float]] = deque()
        self._seats: list[Seat] = []
        self._leaving: list[threading.Thread] = []
        self._stopping = False
        self._names = 0

    # -- the Monitor's thread ------------------------------------------------------------------

    def submit(self, connection: Connection | SharedRequest) -> bool:
        """Have a READY connection served; return False when there is no lane for it."""
        seats = self._seats
        if (len(seats) == LANES and _are_held(seats)) or (not seats and not self._open()):
            return False
        self._put(connection)
        return True

    def tend(self) -> bool:
        """Open a lane if a connection has waited long for one; return whether one waits still."""
        try:
            _, since = self._waiting[0]
        except IndexError:
            return False
        if time.monotonic() - since > PATIENCE and (len(self._seats) == LANES or not self._open()):
            for each in self.abandoned():
                self._pass_on(each)
        return True

    def _open(self) -> bool:
        """Open another lane; return False when that has failed."""
        seat: Seat | None = None
        try:
            seat = self._makes_seats.make()
            self._names += 1
            seat.thread = threading.Thread(
                target=self._run, args=(seat,), name=f"rocket-urgent-{self._names}", daemon=True
            )
            with self._changed:
                self._seats = [*self._seats, seat]
            seat.thread.start()
        except Exception as error:  # noqa: BLE001 - of the protocol's making, or the system's
            with self._changed:
                self._seats = [each for each in self._seats if each is not seat]
            _faults.report(_log, error, "cannot start a thread for urgent requests")
            return False
        return True

    # -- any thread ----------------------------------------------------------------------------

    def seats(self) -> list[Seat]:
        """Return the seats of the lanes that are open."""
        return self._seats

    def stop(self) -> None:
        """Have the threads end after what they are doing. Returns at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def let_go(self) -> None:
        """In a process that the application forked: have the thread that came along end.

        As `ThreadPool.let_go`.
        """
        self._changed = threading.Condition(threading.Lock())
        self._stopping = True

    def join(self, timeout: float) -> list[str]:
        """Wait up to ``timeout`` seconds; return the names of the threads that have not ended."""
        until = time.monotonic() + timeout
        with self._changed:
            threads = [each.thread for each in self._seats if each.thread is not None]
            threads += self._leaving
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0))
        return [thread.name for thread in threads if thread.is_alive()]

    def abandoned(self) -> list[Connection | SharedRequest]:
        """Take all that waits for a lane; the caller owns it then."""
        with self._changed:
            found = [connection for connection, _ in self._waiting]
            self._waiting.clear()
        return found

    def _put(self, connection: Connection | SharedRequest) -> None:
        with self._changed:
            self._waiting.append((connection, time.monotonic()))
            self._changed.notify()

    # -- a lane's thread -----------------------------------------------------------------------

    def _run(self, seat: Seat) -> None:
        engine = self._engine
        self._makes_seats.begin(seat)
        try:
            while (connection := self._next(seat)) is not None:
                if isinstance(connection, SharedRequest):
                    engine.serve_request(connection, seat)
                    continue
                if connection.queue_time > LONG_WAIT and engine.left(connection, seat):
                    continue
                # What follows a request on its connection need not be as urgent.
                if not engine.serve(connection, seat, share=1):
                    continue
                connection.claimed_at = time.monotonic()
                urgent = engine.is_urgent(connection, seat)
                seat.busy = None  # before another thread may serve it: see `Seat`
                if urgent:
                    self._put(connection)
                elif urgent is not None:
                    self._pass_on(connection)
        finally:
            self._makes_seats.end(seat)

    def _next(self, seat: Seat) -> Connection | SharedRequest | None:
        """Wait for a connection to serve; return None when the thread and its lane end."""
        with self._changed:
            seat.busy = None
            while not self._waiting and not self._stopping:
                surplus = len(self._seats) > 1
                if not self._changed.wait(RETIREMENT if surplus else None) and not self._waiting:
                    break
            if not self._waiting or self._stopping:
                self._seats = [each for each in self._seats if each is not seat]
                self._leaving = [each for each in self._leaving if each.is_alive()]
                if seat.thread is not None:  # not `current_thread`, which may be patched
                    self._leaving.append(seat.thread)
                return None
            connection, _ = self._waiting.popleft()
            seat.now = began = time.monotonic()
            seat.busy = connection, began
            ready_at = connection.claimed_at
            if isinstance(connection, SharedRequest):
                ready_at = connection.arrived_at
            connection.queue_time = max(began - ready_at, 0.0)
            return connection


def _are_held(seats: list[Seat]) -> bool:
    now = time.monotonic()
    return all((busy := seat.busy) is not None and now - busy[1] > PATIENCE for seat in seats)

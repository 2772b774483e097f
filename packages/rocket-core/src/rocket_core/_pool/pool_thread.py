"""What one thread of the pool does: it looks for work, serves, and sleeps."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from rocket_core._connection.origin import origin_of
from rocket_core._connection.shared_request import SharedRequest
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._pool.client_lines import ClientLines, Place
from rocket_core._pool.thread_pool import Role
from rocket_core._pool.urgent_lanes import LONG_WAIT
from rocket_core._system.fault_log import FaultLog

if TYPE_CHECKING:
    from collections.abc import Hashable

    from rocket_core._connection.connection import Connection
    from rocket_core._engine.engine import Engine
    from rocket_core._engine.seat import Seats
    from rocket_core._pool.thread_pool import ThreadPool

_log = logging.getLogger("rocket_core.pool")
_faults: Final = FaultLog()

IDLE_RETIREMENT: Final = 30.0
"""Seconds of sleep after which a thread beyond ``min_threads`` ends. What it has opened, such as a
connection to a database, is of use until then."""


class PoolThread:
    """A thread of the pool, with its seat, and the lock that it sleeps on.

    `start` and `wake` are called by other threads, with the lock of the pool; all else runs on the
    thread itself.
    """

    __slots__ = (
        "_engine",
        "_idle_retirement",
        "_long_wait",
        "_pool",
        "_seats",
        "_sleep_lock",
        "seat",
    )

    def __init__(
        self,
        pool: ThreadPool,
        engine: Engine,
        seats: Seats,
        name: str,
        *,
        long_wait: float = LONG_WAIT,
        idle_retirement: float = IDLE_RETIREMENT,
    ) -> None:
        """Make a thread, which is not started yet. Raises what making a worker raises."""
        self._pool = pool
        self._engine = engine
        self._seats = seats
        self._long_wait = long_wait
        self._idle_retirement = idle_retirement
        self._sleep_lock = threading.Lock()
        self._sleep_lock.acquire()
        self.seat = seats.make()
        self.seat.pooled = True
        self.seat.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread. Raises `RuntimeError` when the system has no thread to spare."""
        if self.seat.thread is not None:
            self.seat.thread.start()

    def wake(self) -> None:
        """End the sleep of this thread, or the next one before it begins."""
        self._sleep_lock.release()

    def run(self) -> None:
        """Look for work and serve it, until the pool has this thread end."""
        pool, engine, seat = self._pool, self._engine, self.seat
        try:
            self._seats.begin(seat)
            role = pool.arrive(self)
            while role is not Role.LEAVE:
                if role is Role.SLEEP:
                    role = self._sleep()
                    continue
                if role is Role.POLL:
                    pool.poll()
                    engine.expire_all(seat)
                seat.now = time.monotonic()
                self._serve_ready()
                role = pool.take_role(self)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the pool must stay complete
            _faults.report(_log, error, "a thread of the pool ended with an error: replacing it")
            pool.replace_dead(self)
        finally:
            self._seats.end(seat)

    # In one piece, because every request passes through it and each call costs.
    def _serve_ready(self) -> None:  # noqa: C901, PLR0912, PLR0915
        """Serve connections until there are none, or the pool wants a worker fewer."""
        pool, engine, seat = self._pool, self._engine, self.seat
        ready, advance, serve = pool.ready, engine.advance, engine.serve
        lines = pool.lines
        responses = seat.counters.responses
        count_wait, count_service = seat.counters.queue_time.add, responses.adders
        sent = responses.sent
        while ready and not pool.dismissing:  # that it is empty costs less than an exception
            try:
                exchange = ready.popleft()
            except IndexError:
                break
            # A service begins where the last one ended, or with the poll that claimed it: a look at
            # the clock costs as much as counting. `serve` has mostly just looked when it returns.
            began = seat.now
            seat.busy = exchange, began
            if not advance(exchange, seat):
                taker = seat.turn
                if taker is not None:
                    seat.turn = None
                    taker.claimed_at = began
                    seat.busy = taker, began
                elif isinstance(exchange, TurnTaker):
                    taker = exchange
                else:
                    seat.now = time.monotonic()
                    continue
                if pool.eager > 0 and (ready or not pool.polling):
                    pool.call_eagerly()
                if isinstance(taker, SharedRequest):
                    waited = began - taker.arrived_at
                    taker.queue_time = waited = waited if waited > 0 else 0.0
                    if lines is None:
                        engine.serve_request(taker, seat)
                    elif not self._serve_request_in_line(lines, taker):
                        seat.now = time.monotonic()
                        continue
                    again = False
                else:
                    again = self._serve_turn(taker, began)
                    waited = taker.queue_time
                seat.now = ended = time.monotonic()
                count_wait(waited)
                count_service[sent[0]](ended - began)
                sent[0] = 0
                if again:
                    pool.queue_behind(taker)
                continue
            connection: Connection = exchange  # type: ignore[assignment] # turns are not READY
            if pool.eager > 0 and (ready or not pool.polling):
                pool.call_eagerly()
            waited = began - connection.claimed_at
            if waited > self._long_wait:
                if engine.left(connection, seat):
                    pool.drop_place(connection)
                    continue
            elif waited < 0:
                waited = 0.0
            connection.queue_time = waited
            if lines is None:
                again = serve(connection, seat)
            else:
                served = self._serve_in_line(lines, connection)
                if served is None:
                    seat.now = time.monotonic()
                    continue
                again = served
            ended = seat.now
            if ended <= began:
                seat.now = ended = time.monotonic()
            count_wait(waited)
            count_service[sent[0]](ended - began)
            sent[0] = 0
            if again:
                connection.claimed_at = ended
                seat.busy = None  # before another thread may serve it: see `Seat`
                pool.queue_behind(connection)
        seat.busy = None

    def _serve_in_line(self, lines: ClientLines, connection: Connection) -> bool | None:
        """Serve a request if its client may have one more served; return as `Engine.serve`.

        Returns None if it was not served: it waits in the line of its client, or was refused.
        """
        engine, seat = self._engine, self.seat
        origin = origin_of(connection)
        placed = lines.enter(connection, origin)
        if not placed:
            urgent = engine.is_urgent(connection, seat)
            if urgent is None:
                return None
            if not urgent:
                place = self._line_up(lines, connection, origin)
                if place is Place.NONE:
                    engine.refuse(connection, seat)
                if place is not Place.GRANTED:
                    return None
                placed = True
        try:
            # What follows on the connection may be of another client, if that is a proxy.
            return engine.serve(connection, seat, share=1)
        finally:
            if placed:
                self._pool.call_from_line(lines.leave(origin))

    def _serve_request_in_line(self, lines: ClientLines, request: SharedRequest) -> bool:
        """Do the same for a request on a shared connection; return whether it was served.

        While it waits in a line, no other request of its connection is in the queue.
        """
        engine, seat = self._engine, self.seat
        origin = origin_of(request)
        placed = lines.enter(request, origin)
        if not placed and not engine.is_request_urgent(request, seat):
            place = self._line_up(lines, request, origin)
            if place is Place.NONE:
                engine.refuse_request(request)
            if place is not Place.GRANTED:
                return False
            placed = True
        try:
            engine.serve_request(request, seat)
        finally:
            if placed:
                self._pool.call_from_line(lines.leave(origin))
        return True

    def _line_up(
        self, lines: ClientLines, request: Connection | SharedRequest, origin: Hashable
    ) -> Place:
        """Have a request wait in the line of its client; return what becomes of it."""
        seat = self.seat
        busy, seat.busy = seat.busy, None  # before another thread may own it: see `Seat`
        place = lines.line_up(request, origin)
        if place is Place.LINE:
            self._pool.rouse()  # for `LineWatch`
        else:
            seat.busy = busy
        return place

    def _serve_turn(self, taker: TurnTaker, began: float) -> bool:
        """Let an object have the turn that it waited for until ``began``; return as the engine."""
        self._pool.turns.discard(taker)
        taker.queue_time = max(began - taker.claimed_at, 0.0)
        return self._engine.serve_turn(taker, self.seat)

    def _sleep(self) -> Role:
        """Sleep until woken; return what to do then: LEAVE when the thread is not needed."""
        surplus = self._pool.has_surplus
        if self._sleep_lock.acquire(timeout=self._idle_retirement if surplus else -1):
            return self._pool.arrive(self)
        role = self._pool.oversleep(self)
        if role is None:
            # 1. The time is up. 2. Another thread takes this one from the sleepers, to wake it.
            # 3. This thread does not find itself there, and waits for the wake-up, which is due.
            self._sleep_lock.acquire()
            return self._pool.arrive(self)
        return role

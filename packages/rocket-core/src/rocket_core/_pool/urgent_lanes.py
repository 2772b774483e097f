"""Lanes of their own for the few requests that must be served while all workers are busy."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from rocket_core._engine.worker import retire
from rocket_core._system.fault_log import FaultLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_core._connection.connection import Connection
    from rocket_core._engine.engine import Engine
    from rocket_core._engine.statistics import Tally
    from rocket_core._engine.worker import Worker

_log = logging.getLogger("rocket_core.pool")
_faults: Final = FaultLog()

LANES: Final = 8
"""Threads at most. One is enough, unless what it serves takes long."""

PATIENCE: Final = 0.1
"""Seconds that a request waits for a lane before there is another, or it waits with the rest."""

LONG_WAIT: Final = 0.1
"""Seconds in a queue after which a client may have given up, so that it is asked about first."""

RETIREMENT: Final = 30.0
"""Seconds without work after which all lanes but one end."""


class Lane:
    """One thread, its worker, and what it does."""

    __slots__ = ("busy", "thread", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.busy: tuple[Connection, float] | None = None
        """The connection it serves, and since when by `time.monotonic`."""
        self.thread: threading.Thread | None = None


class UrgentLanes:
    """A few threads beside the pool, the first one started when it is needed.

    A file on a network mount may hold a lane for long. Nobody waits behind it: another lane is
    opened, up to `LANES`, and when all are held, what they should serve waits for a worker.

    ``_changed`` guards what waits, connections with the time since when, and the lanes, whose list
    is replaced and never changed. `submit` and `tend` are for the Monitor's thread.
    """

    def __init__(
        self,
        phases: Engine,
        factory: Callable[[], Worker],
        tally: Tally,
        pass_on: Callable[[Connection], None],
    ) -> None:
        """``pass_on`` takes a READY connection that does not belong here, or not any more."""
        self._pass_on = pass_on
        self._phases = phases
        self._factory = factory
        self._tally = tally
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[tuple[Connection, float]] = deque()
        self._lanes: list[Lane] = []
        self._leaving: list[threading.Thread] = []
        self._stopping = False
        self._names = 0

    def submit(self, connection: Connection) -> bool:
        """Have a READY connection served; False when there is no lane for it."""
        lanes = self._lanes
        if (len(lanes) == LANES and _are_held(lanes)) or (not lanes and not self._open()):
            return False
        self._put(connection)
        return True

    def _put(self, connection: Connection) -> None:
        with self._changed:
            self._waiting.append((connection, time.monotonic()))
            self._changed.notify()

    def tend(self) -> bool:
        """Open a lane if one has waited for it; whether somebody waits, and this must go on."""
        try:
            _, since = self._waiting[0]
        except IndexError:
            return False
        if time.monotonic() - since > PATIENCE and (len(self._lanes) == LANES or not self._open()):
            for each in self._take_all():
                self._pass_on(each)
        return True

    def _open(self) -> bool:
        lane: Lane | None = None
        try:
            lane = Lane(self._factory())
            self._names += 1
            lane.thread = threading.Thread(
                target=self._run, args=(lane,), name=f"rocket-reserve-{self._names}", daemon=True
            )
            with self._changed:
                self._lanes = [*self._lanes, lane]
            lane.thread.start()
        except Exception as error:  # noqa: BLE001 - of the protocol's making, or the system's
            with self._changed:
                self._lanes = [each for each in self._lanes if each is not lane]
            _faults.report(_log, error, "cannot open a reserved lane")
            return False
        return True

    @property
    def lanes(self) -> list[Lane]:
        """The lanes there are."""
        return self._lanes

    def stop(self) -> None:
        """Have the threads end after what they are doing."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def let_go(self) -> None:
        """As `ThreadPool.let_go`."""
        self._changed = threading.Condition(threading.Lock())
        self._stopping = True

    def join(self, timeout: float) -> list[str]:
        """Wait up to ``timeout`` seconds; the names of the threads that have not ended."""
        until = time.monotonic() + timeout
        with self._changed:
            threads = [each.thread for each in self._lanes if each.thread is not None]
            threads += self._leaving
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0))
        return [thread.name for thread in threads if thread.is_alive()]

    def abandoned(self) -> list[Connection]:
        """What nobody will serve any more; the caller owns it now."""
        return self._take_all()

    def _take_all(self) -> list[Connection]:
        with self._changed:
            found = [connection for connection, _ in self._waiting]
            self._waiting.clear()
        return found

    def _next(self, lane: Lane) -> Connection | None:
        """Wait for a connection to serve; None: the thread ends, and its lane with it."""
        with self._changed:
            lane.busy = None
            while not self._waiting and not self._stopping:
                surplus = len(self._lanes) > 1
                if not self._changed.wait(RETIREMENT if surplus else None) and not self._waiting:
                    break
            if not self._waiting or self._stopping:
                self._lanes = [each for each in self._lanes if each is not lane]
                self._leaving = [each for each in self._leaving if each.is_alive()]
                if lane.thread is not None:  # not `current_thread`, which may be patched
                    self._leaving.append(lane.thread)
                return None
            connection, _ = self._waiting.popleft()
            began = time.monotonic()
            lane.busy = connection, began
            connection.queue_time = max(began - connection.claimed_at, 0.0)
            return connection

    def _run(self, lane: Lane) -> None:
        worker = lane.worker
        counters = self._tally.open()
        try:
            while (connection := self._next(lane)) is not None:
                if connection.queue_time > LONG_WAIT and self._phases.left(
                    connection, worker, counters
                ):
                    continue
                # What follows a request on its connection need not be as urgent.
                if not self._phases.serve(connection, worker, counters, share=1):
                    continue
                connection.claimed_at = time.monotonic()
                urgent = self._phases.is_urgent(connection, worker, counters)
                if urgent:
                    self._put(connection)
                elif urgent is not None:
                    self._pass_on(connection)
        finally:
            self._tally.close(counters)
            retire(worker)


def _are_held(lanes: list[Lane]) -> bool:
    now = time.monotonic()
    return all((busy := lane.busy) is not None and now - busy[1] > PATIENCE for lane in lanes)

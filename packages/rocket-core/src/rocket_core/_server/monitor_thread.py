"""The Monitor's thread: asleep while workers poll, in charge when none does.

It also carries out orders, which arrive through a mailbox that signal handlers may use.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from _thread import get_ident  # that of `threading` is another once the application has patched it
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, Protocol

from rocket_core._engine.engine import Engine
from rocket_core._engine.monitor import BATCH, Monitor
from rocket_core._engine.statistics import Counters
from rocket_core._engine.worker import Worker
from rocket_core._pool.thread_pool import LOOK, Care, ThreadPool
from rocket_core._system.fault_log import FaultLog

_log = logging.getLogger("rocket_core.monitor")
_faults: Final = FaultLog()

_LONGEST_POLL: Final = 0.05

_LONGEST_SLEEP: Final = 86400.0
"""Seconds that every wait for a queue takes; what is to be done may be further away."""

_RARE_LOOK: Final = 4 * LOOK
"""Seconds to the next look at a pool that computes and has no worker too many. A look takes the
interpreter away from the one who computes."""

_POLLS: Final = 8
"""Polls in a row, after which the pool is tended however many clients have something to say."""

_QUIET_LOOKS: Final = 8

Order = Callable[[], None]


class Watcher(Protocol):
    """Something that looks at the busy threads from time to time."""

    def look(self) -> float:
        """Look now; seconds until the next look, infinite when nobody works."""


class MonitorThread:
    """The thread that tends the pool and carries out orders, one after the other."""

    def __init__(
        self,
        monitor: Monitor,
        pool: ThreadPool,
        phases: Engine,
        worker: Worker,
        counters: Counters,
        *,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self._monitor = monitor
        self._pool = pool
        self._phases = phases
        self._worker = worker
        self._counters = counters
        self._watchers = watchers
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._finished = False
        self.wake_at = inf
        """When `on_time` is to be called, by `time.monotonic`."""
        self.on_time: Order = lambda: None
        self._thread = threading.Thread(target=self._run, name="rocket-monitor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread.ident != get_ident():
            self._thread.join()

    def post(self, order: Order | None) -> None:
        """Have ``order`` carried out; None only has the pool tended.

        Signal handlers may call this.
        """
        self._orders.put(order)
        if order is not None:
            self._monitor.wake()

    def finish(self) -> None:
        """End the thread after the present order. Called by orders."""
        self._finished = True

    def _run(self) -> None:
        while not self._finished:
            try:
                self._obey(self._sleep(self._watch()))
                self._tend()
            except Exception as error:  # noqa: BLE001 - nobody else tends the pool
                _faults.report(_log, error, "the monitor's thread failed and goes on")
                self._orders.put(None)  # the pool relies on being tended

    def _sleep(self, limit: float = inf) -> Order | None:
        """Wait for an order, until `wake_at` or for ``limit`` seconds."""
        timeout = min(limit, self.wake_at - time.monotonic())
        try:
            if timeout == inf:
                return self._orders.get()
            return self._orders.get(timeout=min(max(timeout, 0), _LONGEST_SLEEP))
        except queue.Empty:
            return None

    def _obey(self, order: Order | None) -> None:
        if order is not None:
            order()
        if time.monotonic() >= self.wake_at:
            self.wake_at = inf
            self.on_time()

    def _watch(self) -> float:
        return min((each.look() for each in self._watchers), default=inf)

    def _tend(self) -> None:
        self._pool.guard(on=True)
        quiet = 0
        pause = LOOK
        while not self._finished:
            self._watch()
            reserve_busy = self._pool.tend_reserve()
            care = self._pool.tend()
            if care is Care.STAND_IN:
                self._stand_in(pause)
                pause = min(pause * 2, _LONGEST_POLL)
                self._obey(self._sleep(0))
                continue
            if care is Care.POLL:
                self._stand_in(0)
            pause = LOOK
            quiet = quiet + 1 if care is Care.NOTHING and not reserve_busy else 0
            if quiet >= _QUIET_LOOKS and self._pool.guard(on=False):
                return
            rarely = care is Care.RARE_LOOK and not reserve_busy
            self._obey(self._sleep(_RARE_LOOK if rarely else LOOK))

    def _stand_in(self, timeout: float) -> None:
        """Do for all clients what needs no worker, while no worker looks for it."""
        worker, counters = self._worker, self._counters
        self._pool.relieve()
        self._pool.sweep(worker, counters)
        for _ in range(_POLLS):
            claimed = self._monitor.poll(timeout)
            self._pool.stand_in(claimed, worker, counters)
            if len(claimed) < BATCH:
                break
            timeout = 0
        self._phases.expire_all(worker, counters)

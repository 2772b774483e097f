"""The Monitor's thread: it sleeps while workers poll, and tends the pool while none does.

Theory of operation
-------------------
Every server has one such thread. All that is not for a single client happens on it, so that it
happens in an order, and without locks: it starts the other threads, carries out `drain` and `stop`,
evicts connections, looks at the watchers, and ends what is overdue. Other threads, and signal
handlers, leave an order in the `Mailbox` and go on.

It is in one of two loops:

- **Asleep** (`MonitorThread._run`): a worker polls the Monitor, and nothing waits. The thread waits
  for an order, an alert, or the next time at which a watcher wants to look.
- **Tending** (`MonitorThread._tend`): a worker that polled has gone away to serve. The thread looks
  at the pool every few milliseconds (`ThreadPool.tend`), and is told what is needed: nothing, a
  further look, or that it polls itself because no worker can be had. Then it does, with a worker of
  its own and never waiting for a client, all that needs no application (`StandIn`).

It goes from the second loop to the first only if `ThreadPool.guard` agrees, with the lock of the
pool: there is a worker that polls, and the queue is empty. A change after that is announced by an
alert, since ``guarded`` is false then; see `ThreadPool`.

The thread must not end before the server does, nor be held up: an order or a look that fails is
logged, and the thread goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from _thread import get_ident  # that of `threading` is another once the application has patched it
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from rocket_core._pool.staffing import LOOK, Care
from rocket_core._system.fault_log import FaultLog

if TYPE_CHECKING:
    from rocket_core._engine.seat import Seat
    from rocket_core._pool.stand_in import StandIn
    from rocket_core._pool.thread_pool import ThreadPool
    from rocket_core._pool.urgent_lanes import UrgentLanes
    from rocket_core._server.mailbox import Mailbox, Order

_log = logging.getLogger("rocket_core.monitor")
_faults: Final = FaultLog()

_LONGEST_POLL: Final = 0.05
"""Seconds of one poll at most while all workers are away: one may come back meanwhile."""

_RARE_LOOK: Final = 4 * LOOK
"""Seconds to the next look at a pool that computes and has no worker too many. A look takes the
interpreter away from the worker that computes."""

_QUIET_LOOKS: Final = 8
"""Looks in a row that find nothing to do, after which the thread ceases to tend the pool."""


class Watcher(Protocol):
    """An object that looks at the threads of the pool from time to time."""

    def look(self) -> float:
        """Look now; return the seconds until the next look, infinite while no thread is busy."""


class MonitorThread:
    """The thread that tends the pool and carries out orders, one after the other.

    `start` and `join` are called by other threads; all else is called by orders, which run on the
    thread itself.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        pool: ThreadPool,
        urgent_lanes: UrgentLanes,
        stand_in: StandIn,
        seat: Seat,
        *,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self._mailbox = mailbox
        self._pool = pool
        self._urgent_lanes = urgent_lanes
        self._stand_in = stand_in
        self._watchers = watchers
        self._finished = False
        self._due = inf
        """When `_on_time` is to be carried out, by `time.monotonic`."""
        self._on_time: Order | None = None
        self._thread = threading.Thread(target=self._run, name="rocket-monitor", daemon=True)
        seat.thread = self._thread

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended; on the thread itself, return at once."""
        if self._thread.ident != get_ident():
            self._thread.join()

    def set_timer(self, seconds: float, order: Order) -> None:
        """Have ``order`` carried out in ``seconds``, instead of a previous one, but no later."""
        self._due = min(self._due, time.monotonic() + seconds)
        self._on_time = order

    def finish(self) -> None:
        """End the thread after the present order."""
        self._finished = True

    def _run(self) -> None:
        while not self._finished:
            try:
                self._obey(self._sleep(self._watch()))
                self._tend()
            except Exception as error:  # noqa: BLE001 - no other thread tends the pool
                _faults.report(_log, error, "error on the Monitor's thread, which goes on")
                self._mailbox.alert()  # the pool relies on being tended

    def _sleep(self, limit: float) -> Order | None:
        """Wait for an order, until the timer is due or for ``limit`` seconds."""
        return self._mailbox.take(min(limit, self._due - time.monotonic()))

    def _obey(self, order: Order | None) -> None:
        if order is not None:
            order()
        if time.monotonic() >= self._due:
            self._due = inf
            if self._on_time is not None:
                self._on_time()

    def _watch(self) -> float:
        return min((each.look() for each in self._watchers), default=inf)

    def _tend(self) -> None:
        self._pool.guard(on=True)
        quiet = 0
        pause = LOOK
        while not self._finished:
            self._watch()
            urgent = self._urgent_lanes.tend()
            care = self._pool.tend()
            if care is Care.STAND_IN:
                self._stand_in.work(pause)
                pause = min(pause * 2, _LONGEST_POLL)
                self._obey(self._sleep(0))
                continue
            if care is Care.POLL:
                self._stand_in.work(0)
            pause = LOOK
            quiet = quiet + 1 if care is Care.NOTHING and not urgent else 0
            # 1. The last worker that polls goes away with work; it finds the pool guarded, and
            # sends no alert. 2. This thread, which has seen it poll, ceases to guard. The lock of
            # the pool puts that in order: either this call fails, or the worker finds no guard.
            if quiet >= _QUIET_LOOKS and self._pool.guard(on=False):
                return
            rarely = care is Care.RARE_LOOK and not urgent
            self._obey(self._sleep(_RARE_LOOK if rarely else LOOK))

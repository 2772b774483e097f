"""Logs which code holds a thread for too long."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import inf
from typing import Final

from rocket_core._engine.statistics import Activity
from rocket_core._state import State
from rocket_core._system.fault_log import FaultLog

_log = logging.getLogger("rocket_core.watchdog")

WATCHDOG: Final = 30.0
"""Seconds that a thread is busy with one exchange, after which its stack is logged."""

_LOOKS: Final = 4
"""How often, within the limit, the watchdog looks at the threads."""


class Watchdog:
    """Logs the stack of a thread that is busy with one exchange for too long, once.

    A watcher of the Monitor's thread, which alone calls it. It looks several times within the limit
    even if no thread was busy: to tell it of every request that begins would cost each of them.
    """

    def __init__(
        self, activities: Callable[[], list[Activity]], limit: float, faults: FaultLog
    ) -> None:
        """Watch threads.

        Args:
            activities: returns what each of the threads does.
            limit: seconds that a thread may be busy with one exchange.
            faults: leaves out stacks that were logged just before.
        """
        self._activities = activities
        self._limit = limit
        self._faults = faults
        self._reported: set[Activity] = set()
        self._next = -inf

    def look(self) -> float:
        """Log what is late; return the seconds until the next look."""
        now = time.monotonic()
        if now < self._next:
            return self._next - now
        busy = [
            each
            for each in self._activities()
            if each.peer is not None and each.state is not State.UPGRADED
        ]
        late = [each for each in busy if now - each.since >= self._limit]
        for each in late:
            if each not in self._reported:
                self._report(each, now - each.since)
        self._reported = set(late)
        due = [each.since + self._limit for each in busy if each not in self._reported]
        self._next = min([now + self._limit / _LOOKS, *due])
        return self._next - now

    def _report(self, activity: Activity, seconds: float) -> None:
        _log.warning(
            "thread %s has served %s for %.1f s, longer than watchdog (%g s). It is at: %s",
            activity.thread,
            activity.peer,
            seconds,
            self._limit,
            self._faults.stack_of(_log, activity.ident),
        )

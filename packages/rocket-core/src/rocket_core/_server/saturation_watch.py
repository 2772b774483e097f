"""Warns while no thread of the pool has time for those who wait."""

from __future__ import annotations

import logging
import time
from math import inf
from typing import TYPE_CHECKING, Final

from rocket_core._state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_core._engine.statistics import Activity
    from rocket_core._pool.stand_in import StandIn
    from rocket_core._pool.thread_pool import ThreadPool

_log = logging.getLogger("rocket_core.saturation")

_PATIENCE: Final = 10.0
"""Seconds without a free thread after which a warning is due, if requests wait or were refused."""

_PAUSE: Final = 60.0
"""Seconds between two warnings."""

_WAITS: Final = frozenset({State.READY, State.SHARED})


class SaturationWatch:
    """Warns that all threads have been busy for long while requests wait, and which is the longest.

    A watcher of the Monitor's thread, which alone calls it. A thread is free while it polls or
    sleeps. All threads are busy from one such moment to the next; the time between them is what is
    told, even if requests have ended meanwhile.
    """

    def __init__(
        self, pool: ThreadPool, stand_in: StandIn, activities: Callable[[], list[Activity]]
    ) -> None:
        """Watch the threads of ``pool``; ``activities`` returns what each of them does."""
        self._pool = pool
        self._stand_in = stand_in
        self._activities = activities
        self._since: float | None = None
        """Since when no thread has been free; None: there is a free one."""
        self._refused = 0
        """How many requests had been refused before that."""
        self._warned = -inf
        """When the last warning was given."""
        self._told = False
        """Whether a warning was given since ``_since``."""

    def look(self) -> float:
        """Warn if it is due; return the seconds until the next look, infinite with a free thread.

        Without a free thread the Monitor's thread tends the pool, and so looks every few
        milliseconds.
        """
        if self._pool.has_free_thread:
            if self._since is not None:
                self._end(self._since)
            return inf
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self._refused = self._stand_in.refused
        elif now - self._since >= _PATIENCE and now - self._warned >= _PAUSE:
            self._warn(now, now - self._since)
        return _PATIENCE

    def _warn(self, now: float, seconds: float) -> None:
        # A connection that was just accepted waits, too, but has perhaps sent nothing yet.
        waiting = sum(each.state in _WAITS for each in self._pool.ready.copy())
        refused = self._stand_in.refused - self._refused
        if not waiting and not refused:
            return
        self._warned = now
        self._told = True
        busy = [each for each in self._activities() if each.peer is not None]
        longest = ""
        if busy:
            first = busy[0]
            longest = f"; the longest: {first.doing or first.peer} ({now - first.since:.0f} s)"
        _log.warning(
            "all %d threads have been busy for %.0f s; %s waiting, %s refused%s",
            len(busy),
            seconds,
            _requests(waiting),
            _requests(refused),
            longest,
        )

    def _end(self, since: float) -> None:
        self._since = None
        if self._told:
            self._told = False
            seconds = time.monotonic() - since
            refused = self._stand_in.refused - self._refused
            _log.info(
                "a thread is free again after %.0f s; %s refused", seconds, _requests(refused)
            )


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"

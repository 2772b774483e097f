"""Ends connections that an application has taken over and that have been silent for too long."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocket_core._pool.thread_pool import ThreadPool


class SilentUpgrades:
    """Cuts a taken connection on which no byte has moved for too long, either way.

    A watcher of the Monitor's thread, which alone calls it.
    """

    def __init__(self, pool: ThreadPool, limit: float) -> None:
        """Cut connections of ``pool`` after ``limit`` seconds."""
        self._pool = pool
        self._limit = limit
        self._next = -inf

    def look(self) -> float:
        """Cut what is silent; return the seconds until the next look, infinite without any."""
        now = time.monotonic()
        if now < self._next:
            return self._next - now
        ends = [each.cut_if_silent(now - self._limit) + self._limit for each in self._pool.taken()]
        if not ends:
            return inf
        self._next = min(ends)
        return self._next - now

"""The replacement of processes that use too much memory (``--max-rss``)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from rocket_cli._admin.vitals import resident_bytes
from rocket_cli._supervisor.child import Child
from rocket_cli._supervisor.timers import Timers
from rocket_cli._units import size

_log = logging.getLogger("rocket_cli")

INTERVAL: Final = 2.0
"""Seconds between two checks."""


class MemoryWatch:
    """Checks the memory of processes at intervals, while there is a limit.

    A process that exceeds the limit at its first check needs that much to serve at all: its
    replacement would exceed the limit as well, and so on for ever. Therefore such a process stays.
    """

    def __init__(
        self,
        timers: Timers,
        serving: Callable[[], list[Child]],
        retire: Callable[[Child, str], None],
    ) -> None:
        """Check nothing yet; ``serving`` returns the processes, and ``retire`` replaces one."""
        self._timers = timers
        self._serving = serving
        self._retire = retire
        self._limit: int | None = None
        self._running = False
        self._large: set[int] = set()
        self._seen: set[int] = set()

    def watch(self, limit: int | None) -> None:
        """Replace processes that use more than ``limit`` bytes; None ends the checks."""
        self._limit = limit
        if limit is not None and not self._running:
            self._running = True
            self._check()

    def _check(self) -> None:
        limit = self._limit
        if limit is None:
            self._running = False
            return
        self._timers.after(INTERVAL, self._check)
        serving = self._serving()
        present = {child.pid for child in serving}
        self._seen &= present
        self._large &= present
        for child in serving:
            used = resident_bytes(child.pid)
            first = child.pid not in self._seen
            self._seen.add(child.pid)
            if used <= limit or child.pid in self._large:
                continue
            if first:
                self._large.add(child.pid)
                _log.error(
                    "%s uses %s from the beginning, more than --max-rss (%s): not replacing it; "
                    "raise --max-rss",
                    child,
                    size(used),
                    size(limit),
                )
                continue
            self._retire(child, f"uses {size(used)}, more than --max-rss ({size(limit)})")
            break  # other large processes follow at later checks

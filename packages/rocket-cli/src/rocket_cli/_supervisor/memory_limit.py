"""Processes that have grown too large."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from rocket_cli._application.request_count import resident_bytes
from rocket_cli._supervisor.children import Child
from rocket_cli._supervisor.timers import Timers

_log = logging.getLogger("rocket_cli")

LOOK: Final = 2.0
"""Seconds between two looks."""


class MemoryWatch:
    """Looks at the memory of processes from time to time, if there is a limit.

    What a process has when it is looked at for the first time is what it needs: one that has more
    than the limit then would be replaced for ever, and is left alone.
    """

    def __init__(
        self,
        timers: Timers,
        serving: Callable[[], list[Child]],
        retire: Callable[[Child, str], None],
    ) -> None:
        """``serving`` are the processes to look at, and ``retire`` replaces one."""
        self._timers = timers
        self._serving = serving
        self._retire = retire
        self._limit: int | None = None
        self._looking = False
        self._large: set[int] = set()
        self._seen: set[int] = set()

    def watch(self, limit: int | None) -> None:
        """From now on have processes replaced that occupy more than ``limit`` bytes; None: none."""
        self._limit = limit
        if limit is not None and not self._looking:
            self._looking = True
            self._look()

    def _look(self) -> None:
        limit = self._limit
        if limit is None:
            self._looking = False
            return
        self._timers.after(LOOK, self._look)
        serving = self._serving()
        present = {child.pid for child in serving}
        self._seen &= present
        self._large &= present
        for child in serving:
            size = resident_bytes(child.pid)
            first = child.pid not in self._seen
            self._seen.add(child.pid)
            if size <= limit or child.pid in self._large:
                continue
            if first:
                self._large.add(child.pid)
                _log.error(
                    "%s occupies %d bytes from the beginning, more than --max-rss %d, and stays",
                    child,
                    size,
                    limit,
                )
                continue
            self._retire(child, f"it occupies {size} bytes")
            break  # the others, if need be, when this one is replaced

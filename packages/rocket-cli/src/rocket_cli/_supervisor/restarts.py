"""How often processes are started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from rocket_cli._supervisor.timers import Timers

_PAUSES: Final = (0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds to wait after so many failures in a row, and after more of them."""

_MOST_FAILURES: Final = 6
"""Attempts in a row that fail, before it is given up if nothing serves."""

_YOUNG: Final = 1.0
"""Seconds; a process that ends before may have found something that will end the next one, too."""


class Restarts:
    """Paces attempts to start processes: at once at first, then ever more slowly."""

    def __init__(self, timers: Timers, try_again: Callable[[], object]) -> None:
        """``try_again`` is called when a pause is over."""
        self._timers = timers
        self._try_again = try_again
        self._failures = 0
        self._not_before = 0.0

    def may_start(self) -> bool:
        """Whether there is no pause now."""
        return time.monotonic() >= self._not_before

    def succeeded(self) -> None:
        """A process has begun."""
        self._failures = 0

    def died(self, since: float) -> None:
        """A process that was forked at ``since`` and served has ended by itself."""
        if time.monotonic() - since < _YOUNG:
            self.failed()

    def failed(self) -> bool:
        """A process could not begin; whether it is worth another attempt.

        Several that were started together are one attempt.
        """
        now = time.monotonic()
        if now >= self._not_before:
            pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
            self._failures += 1
            self._not_before = now + pause
            self._timers.after(pause, self._try_again)
        return self._failures < _MOST_FAILURES

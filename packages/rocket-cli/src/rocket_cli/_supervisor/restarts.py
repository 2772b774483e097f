"""The pace at which processes are started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from rocket_cli._supervisor.timers import Timers

_PAUSES: Final = (0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds to wait after the first failure, the second, and so on; the last for all later ones."""

_MAX_FAILURES: Final = 6
"""Failed attempts in a row after which the supervisor gives up if no process serves."""

_YOUNG: Final = 1.0
"""Seconds: a process that dies before it is so old may die of what will kill the next one, too."""


class Restarts:
    """Paces attempts to start processes: at once at first, then ever more slowly."""

    def __init__(self, timers: Timers, try_again: Callable[[], object]) -> None:
        """Allow an attempt now; ``try_again`` is called at the end of each pause."""
        self._timers = timers
        self._try_again = try_again
        self._failures = 0
        self._not_before = 0.0

    def may_start(self) -> bool:
        """Return whether no pause is in progress."""
        return time.monotonic() >= self._not_before

    def succeeded(self) -> None:
        """Note that a process has started."""
        self._failures = 0

    def died(self, since: float) -> None:
        """Note that a process, forked at ``since``, has died while it served."""
        if time.monotonic() - since < _YOUNG:
            self.failed()

    def failed(self) -> bool:
        """Note that a process could not start, and return whether to try again.

        Processes that were started together count as one attempt.
        """
        now = time.monotonic()
        if now >= self._not_before:
            pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
            self._failures += 1
            self._not_before = now + pause
            self._timers.after(pause, self._try_again)
        return self._failures < _MAX_FAILURES

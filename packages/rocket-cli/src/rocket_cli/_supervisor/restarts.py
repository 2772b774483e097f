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

_MAX_DEATHS: Final = 10
"""The same if the last process could start, and has died young.

It is more, because what kills a process may be a request, and its client may tire first.
"""

_YOUNG: Final = 10.0
"""Seconds: a process that dies before it has served so long has failed, as one that cannot start.

What kills it may kill the next one, too. It takes most faults of a deploy less time to show.
"""


class Restarts:
    """Paces attempts to start processes: at once at first, then ever more slowly."""

    def __init__(self, timers: Timers, try_again: Callable[[], object]) -> None:
        """Allow an attempt now; ``try_again`` is called at the end of each pause."""
        self._timers = timers
        self._try_again = try_again
        self._failures = 0
        self._not_before = 0.0

    @property
    def pause(self) -> float:
        """The seconds until the next attempt may be made; 0 if it may be made now."""
        return max(self._not_before - time.monotonic(), 0.0)

    def may_start(self) -> bool:
        """Return whether no pause is in progress."""
        return time.monotonic() >= self._not_before

    def serves(self, lives: Callable[[], bool]) -> None:
        """Note that a process serves. If ``lives()`` later on, the failures are forgotten."""
        self._timers.after(_YOUNG, lambda: self._judge(lives))

    def _judge(self, lives: Callable[[], bool]) -> None:
        if lives():
            self._failures = 0

    def died(self, since: float) -> bool:
        """Note that a process that has served since ``since`` died; return whether to try again."""
        if time.monotonic() - since < _YOUNG:
            self.failed()
        return self._failures < _MAX_DEATHS

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

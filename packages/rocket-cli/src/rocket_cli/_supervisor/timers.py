"""Calls that one thread is to make later."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterator


class Timers:
    """Calls to be made at given times.

    The thread that makes them sleeps until the earliest of these times, or for ever without calls.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Make ``call`` in so many seconds."""
        entry = (time.monotonic() + seconds, next(self._numbers), call)
        heapq.heappush(self._heap, entry)

    def wait(self) -> float | None:
        """Return the seconds until the next call, or None without calls."""
        if not self._heap:
            return None
        return max(self._heap[0][0] - time.monotonic(), 0.0)

    def due(self) -> Iterator[Callable[[], object]]:
        """Iterate over the calls that are due, the earliest first.

        Each is removed before it is made, so that an error in it does not repeat it.
        """
        while self._heap and self._heap[0][0] <= time.monotonic():
            yield heapq.heappop(self._heap)[2]

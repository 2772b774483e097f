"""What is to be done later, by one thread."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterator


class Timers:
    """Calls to be made at their time. Nothing ticks: without one there is no time to wake."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Have ``call`` called in so many seconds."""
        entry = (time.monotonic() + seconds, next(self._numbers), call)
        heapq.heappush(self._heap, entry)

    def wait(self) -> float | None:
        """Seconds until the next call; None: there is none."""
        if not self._heap:
            return None
        return max(self._heap[0][0] - time.monotonic(), 0.0)

    def due(self) -> Iterator[Callable[[], object]]:
        """The calls that are due, each when its turn has come."""
        while self._heap and self._heap[0][0] <= time.monotonic():
            yield heapq.heappop(self._heap)[2]

"""What each thread counts, and the sum of all threads."""

from __future__ import annotations

import threading
from typing import Final

from rocket_core._engine.histogram import Histogram
from rocket_core._engine.response_counts import ResponseCounts
from rocket_core._state import CloseReason


class Counters:
    """Counts of one thread, which alone writes them; so they need no lock.

    Attributes:
        accepted: connections accepted.
        requests: requests handed to a worker.
        turns: turns that a worker has taken for shared connections.
        closes: connections closed, by reason.
        queue_time: seconds that exchanges waited for a worker.
        responses: what the worker counts of its responses, and the seconds that it spent on
            exchanges.
    """

    __slots__ = ("accepted", "closes", "queue_time", "requests", "responses", "turns")

    def __init__(self, responses: ResponseCounts | None = None) -> None:
        """Begin with nothing; ``responses`` are those of the worker, if it counts any."""
        self.accepted = 0
        self.requests = 0
        self.turns = 0
        self.closes: Final[dict[CloseReason, int]] = {}
        self.queue_time: Final = Histogram()
        self.responses: Final = ResponseCounts() if responses is None else responses

    def add(self, other: Counters) -> None:
        """Add the counts of ``other`` to these."""
        self.accepted += other.accepted
        self.requests += other.requests
        self.turns += other.turns
        for reason, count in list(other.closes.items()):
            self.closes[reason] = self.closes.get(reason, 0) + count
        self.queue_time.merge(other.queue_time)
        self.responses.add(other.responses)


class Tally:
    """The counters of all threads.

    ``_lock`` guards the list and the counts of ended threads. The counts of a running thread are
    read while it writes them, so a total may lack what is being counted just now.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: list[Counters] = []
        self._ended = Counters()

    def open(self, responses: ResponseCounts | None = None) -> Counters:
        """Return counters for a new thread, which are included from now on; see `Counters`."""
        counters = Counters(responses)
        self.add(counters)
        return counters

    def add(self, counters: Counters) -> None:
        """Include ``counters`` from now on."""
        with self._lock:
            self._live.append(counters)

    def close(self, counters: Counters) -> None:
        """Keep the counts of ``counters``, whose thread has ended."""
        with self._lock:
            self._live = [each for each in self._live if each is not counters]
            self._ended.add(counters)

    def closes(self) -> dict[CloseReason, int]:
        """Return the number of connections that were closed, by reason."""
        with self._lock:
            each = [self._ended, *self._live]
        found: dict[CloseReason, int] = {}
        for counters in each:
            for reason, count in list(counters.closes.items()):
                found[reason] = found.get(reason, 0) + count
        return found

    def total(self) -> Counters:
        """Return the sum over all threads, those that have ended included."""
        total = Counters()
        with self._lock:
            total.add(self._ended)
            for counters in self._live:
                total.add(counters)
        return total

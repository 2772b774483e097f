"""What each of many clients may do now and then, and not all the time, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Final

MAX_CLIENTS: Final = 65_536
"""Clients that are remembered at most. Beyond it those are forgotten, as if they had done nothing,
that have done nothing for longest."""


class ClientBuckets:
    """A token bucket for each client. Any thread may call any method.

    Of a bucket, one number is kept: when it would be full again, by the clock of the caller. A
    bucket that is full need not be kept. There are two generations of buckets, and a bucket that is
    used moves to the present one. When a full bucket's time is over since a generation began, it
    becomes the former one, and the one before that is dropped: all its buckets are full by then. If
    a generation has half of `MAX_CLIENTS`, that happens sooner. So nothing is ever searched.

    ``_lock`` guards everything.
    """

    def __init__(self, rate: float, burst: int, *, most: int = MAX_CLIENTS) -> None:
        """Give each client ``rate`` tokens a second, and ``burst`` of them at once, at first.

        Raises `ValueError` unless both are above 0.
        """
        if not (rate > 0 and burst >= 1):
            raise ValueError("the rate and the burst of a client must be greater than 0")
        self.rate: Final = rate
        self.burst: Final = burst
        self._pause: Final = 1.0 / rate
        self._period: Final = burst / rate
        self._half: Final = most // 2
        self._lock = threading.Lock()
        self._present: dict[Hashable, float] = {}
        self._former: dict[Hashable, float] = {}
        self._began = 0.0

    def __len__(self) -> int:
        return len(self._present) + len(self._former)

    def take(self, origin: Hashable, now: float) -> float:
        """Take a token of the client ``origin``; return 0.0, or the seconds until there is one.

        ``now`` is a time by `time.monotonic`.
        """
        with self._lock:
            if now - self._began >= self._period or len(self._present) >= self._half:
                # What is older than two periods is dropped with the former generation.
                stale = now - self._began >= 2 * self._period
                self._former = {} if stale else self._present
                self._present = {}
                self._began = now
            full_at = self._present.get(origin)
            if full_at is None:
                full_at = self._former.pop(origin, now)
            full_at = max(full_at, now)
            wait = full_at + self._pause - self._period - now
            if wait > 1e-9:  # which is less than a clock tells
                self._present[origin] = full_at
                return wait
            self._present[origin] = full_at + self._pause
            return 0.0

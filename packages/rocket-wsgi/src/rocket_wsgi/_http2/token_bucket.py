"""A budget for what a client may do now and then, and not all the time."""

from __future__ import annotations


class TokenBucket:
    """A number of tokens, which are taken one by one and come back with time.

    The time is an argument: the bucket itself looks at no clock.
    """

    __slots__ = ("_at", "_most", "_rate", "_tokens")

    def __init__(self, most: int, rate: float, now: float) -> None:
        """Begin with ``most`` tokens, which is also the maximum; ``rate`` come back per second."""
        self._most = float(most)
        self._rate = rate
        self._tokens = float(most)
        self._at = now

    def take(self, now: float, count: int = 1) -> bool:
        """Take tokens; return False, and take none, if there are not so many."""
        tokens = min(self._tokens + (now - self._at) * self._rate, self._most)
        self._at = now
        if tokens < count:
            self._tokens = tokens
            return False
        self._tokens = tokens - count
        return True

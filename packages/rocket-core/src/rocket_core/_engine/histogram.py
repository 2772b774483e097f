"""Distributions of durations, at the cost of one addition each."""

from __future__ import annotations

from typing import Final

_BUCKETS: Final = 4 * 39
"""Those up to 2 ** 39 µs, which are 6 days."""


class Histogram:
    """Counts durations in buckets, four between each power of two microseconds and the next.

    So a bucket is at most a quarter wider than its lower limit. One thread adds, any thread reads.
    """

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration in ``seconds``, shorter than 6 days."""
        count = int(seconds * 1e6)
        # The three highest bits of the number choose the bucket: the first is 1, and the others
        # tell the quarter.
        index = count
        if count > 3:
            shift = count.bit_length() - 3
            index = (shift << 2) + (count >> shift)
        self._counts[index] += 1
        self._sum += seconds

    def merge(self, other: Histogram) -> None:
        """Add the counts of ``other`` to these."""
        for index, count in enumerate(list(other._counts)):
            if count:
                self._counts[index] += count
        self._sum += other._sum

    @property
    def count(self) -> int:
        """The number of durations that were counted."""
        return sum(self._counts)

    @property
    def total(self) -> float:
        """The sum of all durations, in seconds."""
        return self._sum

    def buckets(self) -> list[tuple[float, int]]:
        """Return the upper limit in seconds, and the count, of each bucket up to the last used."""
        last = max((index for index, count in enumerate(self._counts) if count), default=-1)
        return [(_limit(index) * 1e-6, self._counts[index]) for index in range(last + 1)]

    def quantile(self, share: float) -> float:
        """Return the seconds that ``share`` (0 to 1) of all do not exceed; 0 if there are none."""
        needed = share * self.count
        found = 0
        for limit, count in self.buckets():
            found += count
            if count and found >= needed:
                return limit
        return 0.0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}: median {self.quantile(0.5):g} s>"


def _limit(index: int) -> int:
    """Return the upper limit of a bucket in microseconds."""
    if index <= 3:
        return index + 1
    quarter, shift = index % 4, index // 4 - 1
    return (5 + quarter) << shift

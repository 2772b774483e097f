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
        # To look an index up costs half of what it costs to compute one. A number that is 2 ** 10
        # times as large has the bucket ten powers of two further on.
        if count < 4096:
            index = _INDEXES[count]
        elif count < 4096 << 10:
            index = _INDEXES[count >> 10] + 40
        else:
            index = _index(count)
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


def _index(count: int) -> int:
    """Return the bucket for so many microseconds.

    The three highest bits of the number choose it: the first is 1, and the others tell the quarter.
    """
    if count <= 3:
        return count
    shift = count.bit_length() - 3
    return (shift << 2) + (count >> shift)


_INDEXES: Final = [_index(count) for count in range(4096)]
"""The buckets of short durations, by microseconds."""


def _limit(index: int) -> int:
    """Return the upper limit of a bucket in microseconds."""
    if index <= 3:
        return index + 1
    quarter, shift = index % 4, index // 4 - 1
    return (5 + quarter) << shift

"""Sums, differences and quantiles of the counters of processes.

Counters are numbers in (nested) JSON objects, as `Inspector.counters` returns them. A distribution
of times is an object with the ``sum`` in seconds and ``buckets``: the value of ``"128"`` is the
number of times of more than 112, and at most 128, microseconds. There are four buckets between one
power of two and the next; empty ones are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rocket_core import ResponseCounts

Counters = dict[str, Any]

CLASSES: Final = tuple(ResponseCounts().by_class())
"""The classes of status codes by which responses are counted."""

TIMED_CLASSES: Final = tuple(ResponseCounts().times_by_class())
"""Those by which times are counted: there is one more, for services without a response."""


def add(total: Counters, more: Mapping[str, Any], limit: float = math.inf) -> None:
    """Add ``more`` to ``total``, key by key.

    An object keeps at most ``limit`` keys; further ones are dropped.
    """
    for key, value in more.items():
        if key not in total and len(total) >= limit:
            continue
        if isinstance(value, Mapping):
            add(total.setdefault(key, {}), value, limit)
        else:
            total[key] = total.get(key, 0) + value


def total(each: Iterable[Mapping[str, Any]]) -> Counters:
    """Return the sum of all counters in ``each``."""
    found: Counters = {}
    for more in each:
        add(found, more)
    return found


def difference(after: Mapping[str, Any], before: Mapping[str, Any]) -> Counters:
    """Return what was counted between two moments, key by key."""
    return {
        key: difference(value, before.get(key, {}))
        if isinstance(value, Mapping)
        else value - before.get(key, 0)
        for key, value in after.items()
    }


def count(times: Mapping[str, Any]) -> int:
    """Return the number of times in a distribution."""
    return sum(times.get("buckets", {}).values())


def mean(times: Mapping[str, Any]) -> float:
    """Return the mean of a distribution in seconds; NaN if it is empty."""
    found = count(times)
    return float(times["sum"]) / found if found else math.nan


def quantile(times: Mapping[str, Any], share: float) -> float:
    """Return the seconds that ``share`` (0 to 1) of the times do not exceed; NaN without times.

    The result is an estimate, as if the times of a bucket were spread evenly over it.
    """
    found: Mapping[str, int] = times.get("buckets", {})
    buckets = sorted((int(limit), number) for limit, number in found.items())
    needed = share * sum(number for _, number in buckets)
    below = 0
    for limit, number in buckets:
        if number and below + number >= needed:
            width = _width(limit)
            return (limit - width + width * (needed - below) / number) * 1e-6
        below += number
    return math.nan


def _width(limit: int) -> int:
    """Return the width of the bucket with an upper limit, both in microseconds."""
    shift = (limit - 1).bit_length() - 3
    return 1 << shift if shift > 0 else 1

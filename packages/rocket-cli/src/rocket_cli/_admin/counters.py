"""Adding up what processes have counted.

Counters are objects, in objects, of numbers, as `Inspector.counters` has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Counters = dict[str, Any]


def add(total: Counters, more: Mapping[str, Any]) -> None:
    """Add ``more`` to ``total``, key by key."""
    for key, value in more.items():
        if isinstance(value, Mapping):
            add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value


def total(each: Iterable[Mapping[str, Any]]) -> Counters:
    """The sum of all."""
    found: Counters = {}
    for more in each:
        add(found, more)
    return found


def difference(after: Mapping[str, Any], before: Mapping[str, Any]) -> Counters:
    """What was counted between two moments."""
    return {
        key: difference(value, before.get(key, {}))
        if isinstance(value, Mapping)
        else value - before.get(key, 0)
        for key, value in after.items()
    }


def count(times: Mapping[str, Any]) -> int:
    """How many times a distribution of times has."""
    return sum(times.get("buckets", {}).values())


def mean(times: Mapping[str, Any]) -> float:
    """Their mean in seconds; not a number when there are none."""
    found = count(times)
    return float(times["sum"]) / found if found else math.nan


def quantile(times: Mapping[str, Any], share: float) -> float:
    """The time in seconds that ``share`` (0 to 1) do not exceed; not a number without any.

    An estimate, as if the times of each bucket were spread evenly over it.
    """
    found: Mapping[str, int] = times.get("buckets", {})
    buckets = sorted((int(limit), number) for limit, number in found.items())
    needed = share * sum(number for _, number in buckets)
    below = 0
    for limit, number in buckets:
        if number and below + number >= needed:
            least = limit // 2
            return (least + (limit - least) * (needed - below) / number) * 1e-6
        below += number
    return math.nan

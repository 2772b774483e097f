from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core import Histogram

SECONDS = st.floats(0, 5e5)


def filled(times: list[float]) -> Histogram:
    histogram = Histogram()
    for seconds in times:
        histogram.add(seconds)
    return histogram


@given(st.lists(SECONDS, min_size=1), st.floats(0.01, 1))
def test_quantiles_are_right_within_a_factor_of_two(times: list[float], share: float) -> None:
    histogram = filled(times)
    exact = sorted(times)[max(-(-len(times) * share // 1), 1).__int__() - 1]
    found = histogram.quantile(share)
    assert exact <= found
    assert found <= max(2 * exact, 2e-6)


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_merged_histogram_counts_all_times_of_both(some: list[float], others: list[float]) -> None:
    merged = filled(some)
    merged.merge(filled(others))
    assert merged == filled(some + others)
    assert merged.count == len(some) + len(others)
    assert merged.total == pytest.approx(sum(some) + sum(others))


def test_buckets_are_powers_of_two_up_to_the_last_count() -> None:
    assert filled([]).buckets() == []
    assert filled([]).quantile(0.5) == 0
    assert filled([0.0, 3e-6, 3e-6]).buckets() == [(1e-6, 1), (2e-6, 0), (4e-6, 2)]

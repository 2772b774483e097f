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
def test_quantiles_are_right_within_a_quarter(times: list[float], share: float) -> None:
    histogram = filled(times)
    exact = sorted(times)[max(-(-len(times) * share // 1), 1).__int__() - 1]
    found = histogram.quantile(share)
    assert exact <= found
    assert found <= max(1.25 * exact + 1e-6, 2e-6)


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_merged_histogram_counts_all_times_of_both(some: list[float], others: list[float]) -> None:
    merged = filled(some)
    merged.merge(filled(others))
    assert merged == filled(some + others)
    assert merged.count == len(some) + len(others)
    assert merged.total == pytest.approx(sum(some) + sum(others))


def test_a_request_of_25_seconds_is_not_shown_as_one_of_33() -> None:
    assert filled([25.0]).quantile(0.99) < 25.2


def test_there_are_four_buckets_between_powers_of_two() -> None:
    limits = [round(limit * 1e6) for limit, _ in filled([30e-6]).buckets()]
    assert limits == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32]


def test_buckets_end_with_the_last_count() -> None:
    assert filled([]).buckets() == []
    assert filled([]).quantile(0.5) == 0
    found = filled([0.0, 3e-6, 3e-6]).buckets()
    assert [limit for limit, _ in found] == pytest.approx([1e-6, 2e-6, 3e-6, 4e-6])
    assert [count for _, count in found] == [1, 0, 0, 2]


@given(st.integers(0, 10**12))
def test_time_is_in_the_bucket_whose_limits_are_around_it(microseconds: int) -> None:
    histogram = filled([(microseconds + 0.5) * 1e-6])
    limits = [round(limit * 1e6) for limit, _ in histogram.buckets()]
    assert [0, *limits][-2] <= microseconds < limits[-1]

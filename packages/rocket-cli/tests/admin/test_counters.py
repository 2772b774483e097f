from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rocket_cli._admin.counters import Counters, add, count, difference, mean, quantile, total
from rocket_core import Histogram


def test_sum_of_processes_that_know_different_reasons() -> None:
    first = {"requests": 3, "closes": {"a": 1, "b": 2}}
    assert total([first, {"requests": 4, "closes": {"b": 5, "c": 6}}]) == {
        "requests": 7,
        "closes": {"a": 1, "b": 7, "c": 6},
    }
    assert first == {"requests": 3, "closes": {"a": 1, "b": 2}}


def test_difference_is_what_a_sum_has_added() -> None:
    before = {"requests": 5, "closes": {"a": 1}, "queue_time": {"sum": 0.5, "buckets": {"8": 5}}}
    more = {"requests": 7, "closes": {"b": 3}, "queue_time": {"sum": 0.25, "buckets": {"16": 7}}}
    assert difference(total([before, more]), before) == {
        "requests": 7,
        "closes": {"a": 0, "b": 3},
        "queue_time": {"sum": 0.25, "buckets": {"8": 0, "16": 7}},
    }


def test_nothing_has_neither_mean_nor_quantile() -> None:
    nothing = {"sum": 0.0, "buckets": {}}
    assert count(nothing) == 0
    assert math.isnan(mean(nothing))
    assert math.isnan(quantile(nothing, 0.5))


@given(
    st.lists(st.floats(1e-6, 1000), min_size=1, max_size=50),
    st.floats(0.01, 1),
)
def test_quantile_is_within_the_bucket_of_the_true_one(times: list[float], share: float) -> None:
    histogram = Histogram()
    for each in times:
        histogram.add(each)
    found = {str(round(limit * 1e6)): number for limit, number in histogram.buckets()}
    true = sorted(times)[math.ceil(share * len(times)) - 1]
    estimate = quantile({"sum": sum(times), "buckets": found}, share)
    assert true / 1.25 - 1e-6 <= estimate <= true * 1.25 + 1e-6


def test_mean() -> None:
    assert mean({"sum": 6.0, "buckets": {"1": 1, "2": 2}}) == 2


def test_an_object_keeps_a_limited_number_of_keys() -> None:
    """Processes may make names up, and the sum is kept for as long as the server runs."""
    found: Counters = {}
    for start in range(0, 1000, 100):
        add(found, {"closes": {str(start + n): 1 for n in range(100)}}, 256)
    assert len(found["closes"]) == 256
    add(found, {"closes": {"0": 1, "new": 1}}, 256)
    assert found["closes"]["0"] == 2
    assert "new" not in found["closes"]

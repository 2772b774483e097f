from __future__ import annotations

import pytest

from rocket_core._connection.client_buckets import ClientBuckets


def test_burst_and_rate() -> None:
    buckets = ClientBuckets(2.0, 3)
    assert [buckets.take("a", 100.0) for _ in range(3)] == [0.0] * 3
    assert buckets.take("a", 100.0) == pytest.approx(0.5)
    assert buckets.take("b", 100.0) == 0.0
    assert buckets.take("a", 100.4) == pytest.approx(0.1)  # what is refused costs nothing
    assert buckets.take("a", 100.5) == 0.0
    assert buckets.take("a", 100.5) == pytest.approx(0.5)
    assert [buckets.take("a", 200.0) for _ in range(4)] == [0.0] * 3 + [pytest.approx(0.5)]


@pytest.mark.parametrize("pause", [0.3, 0.9, 1.4, 2.9, 7.0])
def test_no_client_gets_more_over_generations(pause: float) -> None:
    """A client that takes all that it can gets its rate, and its burst once."""
    buckets = ClientBuckets(2.0, 3)
    now, taken = 50.0, 0
    while now < 150.0:
        while buckets.take("a", now) == 0.0:
            taken += 1
        buckets.take(now, now)  # another client each time
        now += pause
    assert taken <= 3 + 2.0 * (now - 50.0)
    assert taken >= min(2.0, 3 / pause) * 90


def test_memory_is_bounded() -> None:
    buckets = ClientBuckets(1.0, 10, most=100)
    for client in range(10_000):
        assert buckets.take(client, 1.0) == 0.0
        assert len(buckets) <= 100
    assert buckets.take("late", 1000.0) == 0.0
    buckets.take("later", 2000.0)
    assert len(buckets) == 1


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_arguments(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="must be greater than 0"):
        ClientBuckets(rate, burst)

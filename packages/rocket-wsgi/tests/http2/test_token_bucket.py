from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._http2.token_bucket import TokenBucket


def taken(bucket: TokenBucket, now: float, tries: int) -> int:
    return sum(bucket.take(now) for _ in range(tries))


def test_a_burst_and_what_comes_back() -> None:
    bucket = TokenBucket(200, 20.0, 0.0)
    assert taken(bucket, 0.0, 300) == 200
    assert taken(bucket, 1.0, 300) == 20
    assert taken(bucket, 1.04, 300) == 0
    assert taken(bucket, 1.05, 300) == 1


def test_a_full_bucket_does_not_gain() -> None:
    bucket = TokenBucket(10, 1.0, 0.0)
    assert taken(bucket, 1000.0, 1) == 1
    assert taken(bucket, 1000.0, 20) == 9
    assert taken(bucket, 2000.0, 20) == 10


def test_several_tokens_or_none() -> None:
    bucket = TokenBucket(10, 1.0, 0.0)
    assert not bucket.take(0.0, 11)
    assert bucket.take(0.0, 7)
    assert not bucket.take(0.0, 4)
    assert bucket.take(0.0, 3)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 5)), max_size=60))
def test_no_period_has_more_than_the_rate_allows(steps: list[tuple[float, int]]) -> None:
    bucket = TokenBucket(10, 2.0, 0.0)
    now = 0.0
    total = 0
    for wait, count in steps:
        now += wait
        if bucket.take(now, count):
            total += count
        assert total <= 10 + now * 2.0 + 1e-6

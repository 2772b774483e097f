from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._http2.priority import parse_priority
from rocket_wsgi._http2.scheduler import Scheduler
from rocket_wsgi._http2.stream import Stream


@pytest.mark.parametrize(
    ("value", "urgency", "incremental"),
    [
        ("", 3, False),
        ("u=0", 0, False),
        ("u=7", 7, False),
        ("i", 3, True),
        ("u=5, i", 5, True),
        ("u=5,i", 5, True),
        ("i, u=1", 1, True),
        ("u=1, i=?1", 1, True),
        ("u=1, i=?0", 1, False),
        ("u=1, u=2", 2, False),
        ("i, i=?0", 3, False),
        ("u=2;a=1;b, i;c", 2, True),
        ("x=1, u=2, y=(1 2)", 3, False),
        ('x="a, u=7", u=2', 2, False),
        ("x=token/9, u=2", 2, False),
        ("x=:YQ==:, u=2, i", 2, True),
        ("x=1.5, u=2", 2, False),
        ("u=8", 3, False),
        ("u=-1", 3, False),
        ("u=1.0", 3, False),
        ("u", 3, False),
        ("u=?1", 3, False),
        ("i=1", 3, False),
        ("i=yes", 3, False),
        (" u=1 ", 1, False),
        ("u=1,", 3, False),
        (",u=1", 3, False),
        ("u =1", 3, False),
        ("u= 1", 3, False),
        ("U=1", 3, False),
        ("u=1 i", 3, False),
        ("\xff", 3, False),
        ("u=1," + "a," * 200 + "i", 3, False),
    ],
)
def test_values(value: str, urgency: int, incremental: bool) -> None:
    assert parse_priority(value) == (urgency, incremental)


@given(st.text(st.sampled_from('ui=?01,; ab"\\:*/.-\xff'), max_size=60))
def test_any_value_has_a_priority(value: str) -> None:
    urgency, _ = parse_priority(value)
    assert 0 <= urgency <= 7


def make(number: int, urgency: int = 3, *, incremental: bool = False) -> Stream:
    stream = Stream(number, 0)
    stream.urgency = urgency
    stream.incremental = incremental
    return stream


def order(count: int, *streams: Stream) -> list[int]:
    scheduler = Scheduler()
    for stream in streams:
        scheduler.add(stream)
    return [scheduler.next().number for _ in range(count)]


def test_the_urgent_come_first() -> None:
    assert order(2, make(1, 7), make(3, 0), make(5)) == [3, 3]


def test_equals_are_sent_one_after_another() -> None:
    assert order(3, make(5), make(1), make(3)) == [1, 1, 1]


def test_incremental_ones_take_turns() -> None:
    streams = [make(number, incremental=True) for number in (5, 1, 3)]
    assert order(7, *streams) == [5, 1, 3, 5, 1, 3, 5]


def test_both_kinds_take_turns() -> None:
    streams = [make(1), make(3, incremental=True), make(5), make(7, incremental=True)]
    assert order(6, *streams) == [1, 3, 1, 7, 1, 3]


def test_a_stream_is_added_once_and_removed() -> None:
    scheduler = Scheduler()
    stream = make(1)
    assert not scheduler.remove(stream)
    scheduler.add(stream)
    scheduler.add(stream)
    assert scheduler.levels
    assert scheduler.remove(stream)
    assert not scheduler.remove(stream)
    assert not scheduler.levels


def test_a_changed_priority() -> None:
    scheduler = Scheduler()
    first, second = make(1), make(3)
    scheduler.add(first)
    scheduler.add(second)
    scheduler.prioritize(second, 1, True)
    assert scheduler.next() is second
    scheduler.prioritize(second, 3, False)
    assert scheduler.next() is first
    away = make(5)
    scheduler.prioritize(away, 0, False)
    assert away.urgency == 0
    assert scheduler.next() is first

from __future__ import annotations

import socket
from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core import Connection
from rocket_core._engine.deadlines import TICK, Deadlines

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def connections() -> Iterator[list[Connection]]:
    pairs = [socket.socketpair() for _ in range(8)]
    yield [Connection(left) for left, _ in pairs]
    for left, right in pairs:
        left.close()
        right.close()


@pytest.fixture
def fresh(connections: list[Connection]) -> list[Connection]:
    for connection in connections:
        connection.watched_at = inf
    return connections


def test_nothing_is_due_at_first(fresh: list[Connection]) -> None:
    deadlines = Deadlines()
    assert deadlines.next == inf
    assert deadlines.due(1e9) == []
    assert all(connection.watched_at == inf for connection in fresh)


def test_connections_fall_due_in_order_and_once(fresh: list[Connection]) -> None:
    deadlines = Deadlines()
    first, second, third = fresh[:3]
    assert deadlines.watch(second, 20.0)
    assert deadlines.watch(first, 10.0)
    assert not deadlines.watch(third, 30.0)
    assert deadlines.next == 10.0
    assert deadlines.due(9.9) == []
    assert deadlines.due(10.0) == [first]
    assert first.watched_at == inf
    assert deadlines.next == 20.0
    assert deadlines.due(100.0) == [second, third]
    assert deadlines.due(1000.0) == []
    assert deadlines.next == inf


def test_deadline_is_noticed_within_a_tick_and_never_early(fresh: list[Connection]) -> None:
    deadlines = Deadlines()
    deadlines.watch(fresh[0], 10.01)
    assert deadlines.due(10.01) == []
    assert deadlines.due(10.01 + TICK) == [fresh[0]]


def test_watch_covers_every_later_deadline_of_its_tick(fresh: list[Connection]) -> None:
    deadlines = Deadlines()
    deadlines.watch(fresh[0], 10.01)
    # Each request of a new client parks with such a deadline again, which costs nothing.
    assert 10.0 <= fresh[0].watched_at <= 10.01
    deadlines.watch(fresh[1], 10.0 + TICK)
    assert fresh[1].watched_at == fresh[0].watched_at
    assert set(deadlines.due(10.0 + TICK)) == set(fresh[:2])


def test_watch_moves_earlier_and_never_later(fresh: list[Connection]) -> None:
    deadlines = Deadlines()
    connection, other = fresh[:2]
    deadlines.watch(connection, 50.0)
    assert deadlines.watch(connection, 5.0)
    assert deadlines.due(5.0) == [connection]
    deadlines.watch(connection, 5.0)
    deadlines.watch(other, 6.0)
    assert not deadlines.watch(connection, 50.0)
    assert set(deadlines.due(6.0)) == {connection, other}
    assert deadlines.due(50.0) == []


def test_forgotten_connections_do_not_fall_due(fresh: list[Connection]) -> None:
    deadlines = Deadlines()
    deadlines.watch(fresh[0], 1.0)
    deadlines.watch(fresh[1], 1.0)
    deadlines.forget(fresh[0])
    deadlines.forget(fresh[0])
    assert fresh[0].watched_at == inf
    assert deadlines.due(2.0) == [fresh[1]]


def test_empty_buckets_are_not_the_next_deadline(fresh: list[Connection]) -> None:
    deadlines = Deadlines()
    for number in range(100):
        deadlines.watch(fresh[0], 100.0 + number)
    deadlines.forget(fresh[0])
    deadlines.due(100.0)
    assert deadlines.next == inf


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("watch"), st.integers(0, 7), st.integers(0, 400)),
        st.tuples(st.just("forget"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.integers(0, 120)),
    ),
    max_size=60,
)


@given(STEPS)
def test_deadlines_agree_with_a_naive_model(
    connections: list[Connection], steps: list[tuple[str, int, int]]
) -> None:
    for connection in connections:
        connection.watched_at = inf
    deadlines = Deadlines()
    model: dict[Connection, float] = {}
    now = 0.0
    for what, which, amount in steps:
        connection = connections[which]
        if what == "watch":
            until = now + amount / 8
            before = deadlines.next
            assert deadlines.watch(connection, until) is (deadlines.next < before)
            model[connection] = min(until, model.get(connection, inf))
        elif what == "forget":
            deadlines.forget(connection)
            model.pop(connection, None)
        else:
            now += amount / 8
            found = deadlines.due(now)
            assert len(found) == len(set(found))
            for each in found:
                assert model.pop(each) <= now
            assert all(until > now - TICK for until in model.values())
        assert deadlines.next <= min((*model.values(), inf)) + TICK
        for each in connections:
            assert (each.watched_at == inf) is (each not in model)

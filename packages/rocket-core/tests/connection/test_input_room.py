"""What connections have received and not handled has a bound common to all, and none starves."""

from __future__ import annotations

from math import inf

import pytest

from rocket_core._connection.budget import GRAIN
from rocket_core._connection.input_room import InputRoom


class Holder:
    def __init__(self, pace: float = 0.0) -> None:
        self.held_input = 0
        self.waits_for_room = False
        self.pace = pace
        self.cut = False

    def read_again(self) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def input_pace(self, now: float) -> float:
        return self.pace

    def cut_input(self) -> None:
        self.cut = True


@pytest.fixture
def room() -> InputRoom:
    return InputRoom(100_000)


@pytest.fixture
def holders() -> list[Holder]:
    return [Holder() for _ in range(4)]


def test_little_counts_for_nothing(room: InputRoom, holders: list[Holder]) -> None:
    for each in holders:
        room.hold(each, GRAIN)
    assert room.held == 0
    room.hold(holders[0], GRAIN + 1)
    assert room.held == 1
    room.hold(holders[0], 0)
    assert room.held == 0


def test_connections_wait_while_all_hold_too_much(room: InputRoom, holders: list[Holder]) -> None:
    large, second, third, small = holders
    room.hold(large, GRAIN + 100_001)
    assert not large.waits_for_room  # it is favoured
    room.hold(second, GRAIN + 1)
    room.hold(third, GRAIN + 1)
    room.hold(small, GRAIN)
    assert [each.waits_for_room for each in holders] == [False, True, True, False]
    assert room.admit() == []
    room.hold(large, 0)
    assert room.admit() == [second, third]
    assert not any(each.waits_for_room for each in holders)


def test_one_after_the_other_is_favoured(room: InputRoom, holders: list[Holder]) -> None:
    """Connections with the beginnings of messages do not wait for each other for ever."""
    for each in holders:
        room.hold(each, 60_000)
    # The third one is beyond the bound, and favoured.
    assert [each.waits_for_room for each in holders] == [False, False, False, True]
    for each in holders[:2]:
        room.hold(each, 80_000)
    assert [each.waits_for_room for each in holders] == [True, True, False, True]
    room.hold(holders[2], 200_000)  # the favoured one goes on, whatever is held
    assert not holders[2].waits_for_room
    room.hold(holders[2], 0)
    assert room.admit() == [holders[3]]
    assert room.admit() == []
    room.hold(holders[3], 0)
    assert room.admit() == [holders[0]]
    room.hold(holders[0], 0)
    assert room.admit() == [holders[1]]


def test_connection_that_holds_little_by_now_waits_no_more(
    room: InputRoom, holders: list[Holder]
) -> None:
    large, second, *_ = holders
    room.hold(large, 200_000)
    room.hold(second, 50_000)
    assert [each.waits_for_room for each in holders[:2]] == [False, True]
    room.hold(second, 100)
    assert room.admit() == [second]
    assert [each.waits_for_room for each in holders[:2]] == [False, False]
    assert room.held == 200_000 - GRAIN


def begin(room: InputRoom, holder: Holder, count: int) -> bool:
    """Note that ``count`` bytes of a message have begun to arrive."""
    return room.hold(holder, count, count)


def test_the_slowest_is_cut_while_others_wait() -> None:
    room = InputRoom(100_000, grace=0.0)
    holders = [Holder(pace) for pace in (50.0, 10.0, 30.0)]
    small = Holder(1.0)
    for each in holders:
        assert not begin(room, each, 60_000)  # the third one is favoured
    assert room.look() == inf
    assert begin(room, small, GRAIN + 1)
    assert small.waits_for_room
    assert room.look() == 0.0
    assert [each.cut for each in holders] == [False, True, False]
    assert not small.cut  # it has begun less than the average
    room.hold(holders[1], 0)
    assert room.look() == 0.0
    assert [each.cut for each in holders] == [False, True, True]
    room.hold(holders[2], 0)
    assert room.admit() == [small]
    assert room.look() == inf


def test_nobody_is_cut_while_the_application_is_slow() -> None:
    room = InputRoom(100_000, grace=0.0)
    holders = [Holder() for _ in range(3)]
    for each in holders:
        room.hold(each, 60_000, 20_000)
    last = Holder()
    assert begin(room, last, GRAIN + 1)
    for _ in range(5):
        room.look()
    assert not any(each.cut for each in [*holders, last])


def test_others_have_their_time_before_the_slowest_is_cut() -> None:
    room = InputRoom(100_000, grace=1000.0)
    holders = [Holder() for _ in range(4)]
    for each in holders:
        begin(room, each, 60_000)
    assert 990 < room.look() <= 1000
    more = Holder()
    assert begin(room, more, 60_000)
    assert 490 < room.look() <= 500  # two wait
    assert not any(each.cut for each in [*holders, more])
    for each in holders[:3]:
        room.hold(each, 0)
    assert room.admit() == [holders[3], more]
    assert room.look() == inf


def test_one_that_moves_on_begins_the_time_anew() -> None:
    room = InputRoom(100_000, grace=1000.0)
    holders = [Holder() for _ in range(5)]
    for each in holders:
        begin(room, each, 60_000)
    room._since -= 400
    assert 90 < room.look() <= 100
    room.hold(holders[2], 0)  # the favoured one
    assert room.admit() == [holders[3]]
    assert 990 < room.look() <= 1000

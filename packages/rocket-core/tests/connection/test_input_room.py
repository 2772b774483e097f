"""What connections have received and not handled has a bound common to all, and none starves."""

from __future__ import annotations

import pytest

from rocket_core._connection.budget import GRAIN
from rocket_core._connection.input_room import InputRoom


class Holder:
    def __init__(self) -> None:
        self.held_input = 0
        self.waits_for_room = False


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

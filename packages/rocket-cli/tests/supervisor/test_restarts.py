from __future__ import annotations

from functools import partial

import pytest

from manual_timers import Clock, ManualTimers
from rocket_cli._supervisor import restarts as restarts_module
from rocket_cli._supervisor.restarts import Restarts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(restarts_module, "time", clock)
    return clock


def test_pauses_grow_until_the_supervisor_gives_up(clock: Clock) -> None:
    timers = ManualTimers()
    restarts = Restarts(timers, lambda: None)
    worth = []
    for _ in range(8):
        assert restarts.may_start()
        worth.append(restarts.failed())
        assert not restarts.may_start()
        clock.now += timers.pauses[-1]
    assert worth == [True] * 5 + [False] * 3
    assert timers.pauses == [0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 10.0]


def test_processes_that_were_started_together_are_one_attempt(clock: Clock) -> None:
    timers = ManualTimers()
    restarts = Restarts(timers, lambda: None)
    for _ in range(20):
        assert restarts.failed()
    assert timers.pauses == [0.05]


def test_a_process_that_lives_ends_the_series(clock: Clock) -> None:
    timers = ManualTimers()
    restarts = Restarts(timers, lambda: None)
    for _ in range(3):
        restarts.failed()
        clock.now += 20
    timers.calls.clear()
    for lives in (False, True):
        restarts.serves(partial(bool, lives))
        assert timers.pauses[-1] == 10
        timers.make_calls()
        restarts.failed()
        clock.now += 20
    assert timers.pauses == [0.05, 0.1, 0.5, 10, 1.0, 10, 0.05]


@pytest.mark.parametrize("lived", [0.0, 0.3, 1.0, 9.9])
def test_processes_that_die_young_are_replaced_ever_more_slowly(clock: Clock, lived: float) -> None:
    timers = ManualTimers()
    restarts = Restarts(timers, lambda: None)
    worth = []
    for _ in range(11):
        began = clock.now
        restarts.serves(lambda: False)
        clock.now += lived
        worth.append(restarts.died(began))
        assert not restarts.may_start()
        assert restarts.pause == pytest.approx(timers.pauses[-1])
        clock.now += timers.pauses[-1]
    assert worth == [True] * 9 + [False] * 2
    assert timers.pauses[1::2] == [0.05, 0.1, 0.5, 1.0, 2.0, 5.0, *[10.0] * 5]


def test_process_that_has_served_for_a_while_is_replaced_at_once(clock: Clock) -> None:
    timers = ManualTimers()
    restarts = Restarts(timers, lambda: None)
    assert restarts.died(since=clock.now - 60)
    assert restarts.may_start()
    assert restarts.pause == 0

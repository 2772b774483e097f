from __future__ import annotations

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


def test_success_ends_the_series(clock: Clock) -> None:
    timers = ManualTimers()
    restarts = Restarts(timers, lambda: None)
    for _ in range(3):
        restarts.failed()
        clock.now += 20
    restarts.succeeded()
    restarts.failed()
    assert timers.pauses == [0.05, 0.1, 0.5, 0.05]


def test_process_that_has_served_for_a_while_is_replaced_at_once(clock: Clock) -> None:
    timers = ManualTimers()
    restarts = Restarts(timers, lambda: None)
    restarts.died(since=clock.now - 60)
    assert restarts.may_start()
    restarts.died(since=clock.now - 0.1)
    assert not restarts.may_start()

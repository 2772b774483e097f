from __future__ import annotations

import pytest

from manual_timers import Clock
from rocket_cli._supervisor import timers as timers_module
from rocket_cli._supervisor.timers import Timers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timers_module, "time", clock)
    return clock


def make_calls(timers: Timers) -> None:
    for call in timers.due():
        call()


def test_without_calls_there_is_no_time_to_wake() -> None:
    assert Timers().wait() is None


def test_calls_are_made_in_the_order_of_their_times(clock: Clock) -> None:
    timers, called = Timers(), []
    timers.after(2.0, lambda: called.append("second"))
    timers.after(1.0, lambda: called.append("first"))
    timers.after(3.0, lambda: called.append("third"))
    assert timers.wait() == 1.0
    clock.now += 2.5
    assert timers.wait() == 0.0
    make_calls(timers)
    assert called == ["first", "second"]
    assert timers.wait() == 0.5


def test_a_call_may_ask_for_another(clock: Clock) -> None:
    timers, called = Timers(), []
    timers.after(0.0, lambda: timers.after(0.0, lambda: called.append("later")))
    make_calls(timers)
    assert called == ["later"]

from __future__ import annotations

from math import inf
from time import monotonic

from rocket_core._connection.alarms import Alarms


class Noting:
    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> None:
        self.looks += 1


def test_only_what_is_due_is_told_and_once() -> None:
    alarms = Alarms()
    assert alarms.look() == inf
    due, later, cancelled = Noting(), Noting(), Noting()
    now = monotonic()
    alarms.set(due, now - 1)
    alarms.set(later, now + 60)
    alarms.set(cancelled, now - 1)
    alarms.cancel(cancelled)
    alarms.cancel(cancelled)
    assert 0 < alarms.look() <= 60
    assert (due.looks, later.looks, cancelled.looks) == (1, 0, 0)
    assert len(alarms) == 1
    alarms.set(later, now - 1)
    assert alarms.look() == inf
    assert (due.looks, later.looks) == (1, 1)
    assert not len(alarms)

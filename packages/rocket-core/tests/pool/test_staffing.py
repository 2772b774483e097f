"""A look calls a worker, dismisses a worker, or asks the Monitor's thread to poll."""

from __future__ import annotations

import socket
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import Connection
from rocket_core._pool import staffing as module
from rocket_core._pool.demand import Demand, Verdict
from rocket_core._pool.staffing import LOOK, Care, Decision, Snapshot, Staffing

if TYPE_CHECKING:
    from collections.abc import Callable

    Sockets = Callable[[], tuple[socket.socket, socket.socket]]

NOW = 1000.0

QUIET = Snapshot(now=NOW, head=None, polling=False, polls=0, left_at=0.0, awake=1, called=0)
"""The only worker is away, the queue is empty, and no worker polls."""


class Verdicts(Demand):
    """Returns the given verdicts in order, the last one again and again, and notes the looks."""

    def __init__(self, *verdicts: Verdict) -> None:
        super().__init__()
        self._verdicts = list(verdicts)
        self.looks: list[dict[str, bool]] = []

    def look(self, **look: Any) -> Verdict:
        self.looks.append(look)
        return self._verdicts.pop(0) if len(self._verdicts) > 1 else self._verdicts[0]


@pytest.fixture
def head(sockets: Sockets) -> tuple[Connection, float]:
    """Return the head of a queue, which has waited for a second."""
    server, _ = sockets()
    return Connection(server), NOW - 1


def test_worker_that_has_just_gone_away_is_not_missed() -> None:
    demand = Verdicts(Verdict.NOTHING)
    staffing = Staffing(1, demand)
    staffing.judge(QUIET._replace(left_at=NOW))
    staffing.judge(QUIET._replace(left_at=NOW, now=NOW + 2 * module.ABSENCE))
    assert demand.looks == [
        {"waits": False, "stuck": False, "spare": False},
        {"waits": True, "stuck": True, "spare": False},
    ]


def test_no_worker_is_called_while_a_called_worker_has_not_begun(
    head: tuple[Connection, float],
) -> None:
    """Work whose worker waits for a processor does not need one more worker."""
    demand = Verdicts(Verdict.CALL)
    staffing = Staffing(1, demand)
    seen = QUIET._replace(head=head, now=NOW)
    assert staffing.judge(seen).call
    decision = staffing.judge(seen._replace(called=1))
    assert decision == Decision(Care.POLL, dismiss=False)
    assert [each["waits"] for each in demand.looks] == [True, False]
    assert staffing.judge(seen).call


@pytest.mark.parametrize(
    ("verdict", "awake", "expected"),
    [
        (Verdict.NOTHING, 2, Decision(Care.LOOK)),
        (Verdict.CALL, 2, Decision(Care.LOOK, call=True, dismiss=False)),
        (
            Verdict.CALL_EAGERLY,
            2,
            Decision(Care.LOOK, call=True, dismiss=False, eager=module.EAGER_REQUESTS),
        ),
        (Verdict.DISMISS, 2, Decision(Care.LOOK, dismiss=True, eager=0)),
        (Verdict.DISMISS, 1, Decision(Care.LOOK, dismiss=False, eager=0)),
    ],
)
def test_each_verdict_has_its_decision(
    verdict: Verdict, awake: int, expected: Decision, head: tuple[Connection, float]
) -> None:
    staffing = Staffing(1, Verdicts(verdict))
    assert staffing.judge(QUIET._replace(head=head, polling=True, awake=awake)) == expected


def test_nothing_is_needed_while_a_worker_polls_and_nothing_waits() -> None:
    staffing = Staffing(1, Verdicts(Verdict.NOTHING))
    assert staffing.judge(QUIET._replace(polling=True)) == Decision(Care.NOTHING)


def test_looks_at_a_pool_that_computes_become_rare(head: tuple[Connection, float]) -> None:
    verdicts = [*[Verdict.DISMISS] * 9, Verdict.NOTHING, Verdict.DISMISS]
    staffing = Staffing(1, Verdicts(*verdicts))
    staffing._polled_at = NOW
    cares = [staffing.judge(QUIET._replace(head=head)).care for _ in range(11)]
    assert cares == [*[Care.LOOK] * 7, *[Care.RARE_LOOK] * 2, *[Care.LOOK] * 2]


@pytest.mark.parametrize("queued", [False, True], ids=["nothing queued", "queued"])
def test_poll_is_asked_for_at_regular_intervals_while_no_worker_polls(
    head: tuple[Connection, float], *, queued: bool
) -> None:
    staffing = Staffing(1, Verdicts(Verdict.NOTHING))
    seen = QUIET._replace(head=head if queued else None)
    now = staffing._polled_at = NOW
    polls = []
    for _ in range(1000):
        now += LOOK
        if staffing.judge(seen._replace(now=now)).care is Care.POLL:
            polls.append(now)
    gaps = [later - earlier for earlier, later in pairwise([NOW, *polls])]
    assert gaps == pytest.approx([module.BLINDNESS] * len(gaps), abs=2 * LOOK)
    assert polls

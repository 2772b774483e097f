"""Who takes the right to a connection first."""

from __future__ import annotations

import threading

import pytest

from rocket_core import ClientGone
from rocket_core.extending import Hold, Lease


def overtake(lease: Lease, due: float = 10.0) -> tuple[Hold, int]:
    """What becomes of the right, and how often the connection was aborted."""
    aborts: list[None] = []
    return lease.overtake(due, lambda: aborts.append(None)), len(aborts)


def test_a_free_lease_is_overtaken() -> None:
    lease = Lease(10.0)
    lease.offer("what it is")
    assert overtake(lease) == (Hold.OVERTAKEN, 0)
    assert lease.context == "what it is"
    with pytest.raises(ClientGone):
        lease.claim()
    assert lease.finish() is Hold.OVERTAKEN


def test_a_held_lease_is_cut() -> None:
    lease = Lease(10.0)
    assert overtake(lease) == (Hold.CUT, 1)
    assert overtake(lease) == (Hold.CUT, 0)
    lease.claim()  # what follows fails by itself
    assert lease.finish() is Hold.CUT


def test_a_lease_that_began_later_or_is_over_is_left_alone() -> None:
    lease = Lease(10.0)
    lease.offer(None)
    assert overtake(lease, 9.9) == (Hold.FREE, 0)
    assert lease.finish() is Hold.OVER
    assert overtake(lease) == (Hold.OVER, 0)
    assert lease.finish() is Hold.OVER


def test_the_right_is_free_when_the_last_use_has_ended() -> None:
    lease = Lease(10.0)
    lease.offer(None)
    with lease.use():
        lease.claim()  # another thread begins the response meanwhile
    assert overtake(lease, 9.9) == (Hold.HELD, 0)
    lease.release()
    assert overtake(lease, 9.9) == (Hold.FREE, 0)


def test_waiting_for_the_client_does_not_count() -> None:
    lease = Lease(10.0)
    lease.wait(11.0)
    assert overtake(lease, 100.0) == (Hold.WAITING, 0)
    lease.resume(16.0)
    assert lease.began == 15.0
    assert overtake(lease, 14.9) == (Hold.HELD, 0)


def answer(lease: Lease, start: threading.Barrier, wins: list[str]) -> None:
    start.wait()
    try:
        lease.claim()
    except ClientGone:
        return
    if lease.finish() is Hold.OVER:
        wins.append("worker")


def test_exactly_one_side_wins() -> None:
    for _ in range(300):
        lease = Lease(0.0)
        lease.offer(None)
        start = threading.Barrier(2)
        wins: list[str] = []

        thread = threading.Thread(target=answer, args=(lease, start, wins))
        thread.start()
        start.wait()
        hold, aborts = overtake(lease)
        thread.join()
        if hold is Hold.OVERTAKEN:
            wins.append("monitor")
        elif hold is Hold.CUT:
            wins.append("nobody")
            assert aborts == 1
        assert len(wins) == 1

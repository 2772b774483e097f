"""Who takes the right to a connection first."""

from __future__ import annotations

import threading

import pytest

from rocket_core import ClientGone
from rocket_core.extending import Hold, Lease


def overtake(turn: Lease, due: float = 10.0) -> tuple[Hold, int]:
    """What becomes of the right, and how often the connection was aborted."""
    aborts: list[None] = []
    return turn.overtake(due, lambda: aborts.append(None)), len(aborts)


def test_a_free_turn_is_overtaken() -> None:
    turn = Lease(10.0)
    turn.offer("what it is")
    assert overtake(turn) == (Hold.OVERTAKEN, 0)
    assert turn.context == "what it is"
    with pytest.raises(ClientGone):
        turn.claim()
    assert turn.finish() is Hold.OVERTAKEN


def test_a_held_turn_is_cut() -> None:
    turn = Lease(10.0)
    assert overtake(turn) == (Hold.CUT, 1)
    assert overtake(turn) == (Hold.CUT, 0)
    turn.claim()  # what follows fails by itself
    assert turn.finish() is Hold.CUT


def test_a_turn_that_began_later_or_is_over_is_left_alone() -> None:
    turn = Lease(10.0)
    turn.offer(None)
    assert overtake(turn, 9.9) == (Hold.FREE, 0)
    assert turn.finish() is Hold.OVER
    assert overtake(turn) == (Hold.OVER, 0)
    assert turn.finish() is Hold.OVER


def test_the_right_is_free_when_the_last_use_has_ended() -> None:
    turn = Lease(10.0)
    turn.offer(None)
    with turn.use():
        turn.claim()  # another thread begins the response meanwhile
    assert overtake(turn, 9.9) == (Hold.HELD, 0)
    turn.release()
    assert overtake(turn, 9.9) == (Hold.FREE, 0)


def test_waiting_for_the_client_does_not_count() -> None:
    turn = Lease(10.0)
    turn.wait(11.0)
    assert overtake(turn, 100.0) == (Hold.WAITING, 0)
    turn.resume(16.0)
    assert turn.began == 15.0
    assert overtake(turn, 14.9) == (Hold.HELD, 0)


def answer(turn: Lease, start: threading.Barrier, wins: list[str]) -> None:
    start.wait()
    try:
        turn.claim()
    except ClientGone:
        return
    if turn.finish() is Hold.OVER:
        wins.append("worker")


def test_exactly_one_side_wins() -> None:
    for _ in range(300):
        turn = Lease(0.0)
        turn.offer(None)
        start = threading.Barrier(2)
        wins: list[str] = []

        thread = threading.Thread(target=answer, args=(turn, start, wins))
        thread.start()
        start.wait()
        right, aborts = overtake(turn)
        thread.join()
        if right is Hold.OVERTAKEN:
            wins.append("monitor")
        elif right is Hold.CUT:
            wins.append("nobody")
            assert aborts == 1
        assert len(wins) == 1

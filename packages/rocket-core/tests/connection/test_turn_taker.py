"""A turn is in the queue once or not at all, and no two of one object overlap."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rocket_core._connection.turn_taker import TurnState, TurnTaker


class Taker(TurnTaker):
    def want(self) -> bool:
        with self._lock:
            return self._want()


RESTING, QUEUED, RUNNING, CALLED = TurnState


def test_turn_goes_through_its_table() -> None:
    taker = Taker()
    assert taker.want()
    assert taker.turn_state is QUEUED
    assert not taker.want()
    taker.begin_turn()
    assert taker.turn_state is RUNNING
    assert not taker.end_turn(again=False)
    assert taker.turn_state is RESTING


def test_turn_that_leaves_more_to_do_is_queued_again() -> None:
    taker = Taker()
    taker.want()
    taker.begin_turn()
    assert taker.end_turn(again=True)
    assert taker.turn_state is QUEUED


def test_turn_that_is_wanted_meanwhile_is_queued_again_by_the_thread_that_ends_it() -> None:
    """1. Nothing is left to do. 2. A thread wants a turn. 3. The worker ends the turn."""
    taker = Taker()
    taker.want()
    taker.begin_turn()
    assert not taker.want()
    assert taker.turn_state is CALLED
    assert not taker.want()
    assert taker.end_turn(again=False)
    assert taker.turn_state is QUEUED


def test_object_says_what_it_does() -> None:
    taker = TurnTaker()
    for method in (taker.take_turn, taker.flush, taker.failed, taker.overdue, taker.doing):
        with pytest.raises(NotImplementedError):
            method()
    with pytest.raises(NotImplementedError):
        _ = taker.leaves


def test_many_threads_want_turns_and_no_wish_is_lost() -> None:
    """Each wish is followed by a turn that begins after it, and turns never overlap."""
    taker = Taker()
    queue: list[int] = []
    wishes = served = 0
    lock = threading.Lock()
    inside = threading.Lock()
    done = threading.Event()

    def wish() -> None:
        nonlocal wishes
        for _ in range(500):
            with lock:
                wishes += 1
            if taker.want():
                queue.append(1)

    def work() -> None:
        nonlocal served
        while not done.is_set() or queue:
            try:
                queue.pop()
            except IndexError:
                continue
            assert inside.acquire(blocking=False)
            taker.begin_turn()
            with lock:
                served = wishes
            inside.release()
            if taker.end_turn(again=False):
                queue.append(1)

    with ThreadPoolExecutor(6) as pool:
        workers = [pool.submit(work) for _ in range(2)]
        for each in [pool.submit(wish) for _ in range(4)]:
            each.result()
        done.set()
        for each in workers:
            each.result()
    assert served == wishes == 2000
    assert taker.turn_state is RESTING

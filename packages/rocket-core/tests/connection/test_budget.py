from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from coresupport import skip_if_compiled
from rocket_core._connection.budget import GRAIN, Budget
from rocket_core.testing import PATIENCE


def test_budget_gives_what_is_left_and_takes_it_back() -> None:
    budget = Budget(100_000)
    assert budget.take(60_000) == 60_000
    assert budget.take(60_000) == 40_000
    assert budget.take(1) == 0
    budget.give_back(60_000)
    assert budget.take(10) == 10


def test_remainder_below_a_grain_is_given_whole_or_not_at_all() -> None:
    budget = Budget(100_000)
    assert budget.take(100_000 - GRAIN + 1) == 100_000 - GRAIN + 1
    assert budget.take(GRAIN) == 0
    assert budget.take(GRAIN - 1) == GRAIN - 1


def test_budget_of_zero_gives_nothing() -> None:
    assert Budget(0).take(1) == 0
    assert Budget(0).take(0) == 0


class Slow(Budget):
    """Lets other threads run between the moments at which a number is read and written."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name in ("_counted", "held"):
            time.sleep(0.0001)
        return value


def test_threads_that_take_at_once_stay_within_the_limit_and_give_all_back() -> None:
    skip_if_compiled("no other thread runs between reading a number and writing it")
    budget = Slow(4 * GRAIN)
    together = threading.Barrier(8)

    def work(_: int) -> int:
        together.wait(PATIENCE)
        taken = budget.take(GRAIN)
        together.wait(PATIENCE)  # no thread gives back before each has tried to take
        budget.give_back(taken)
        return taken

    with ThreadPoolExecutor(8) as threads:
        for _ in range(10):
            assert sorted(threads.map(work, range(8))) == [0] * 4 + [GRAIN] * 4
            assert budget.held == 0


def test_budget_is_ample_until_half_is_held() -> None:
    for held, ample in ((0, True), (2 * GRAIN - 1, True), (2 * GRAIN, False)):
        budget = Budget(4 * GRAIN)
        budget.take(held)
        assert budget.ample is ample
    assert not Budget(0).ample


def test_first_grain_of_each_holder_does_not_count() -> None:
    budget = Budget(2 * GRAIN)
    for _ in range(5):
        assert budget.take_for(0, GRAIN) == GRAIN
    assert budget.held == 5 * GRAIN
    assert budget.take_for(GRAIN, 3 * GRAIN) == 2 * GRAIN
    assert budget.take_for(GRAIN, 1) == 0
    assert budget.take_for(0, 3 * GRAIN) == GRAIN
    assert budget.take_for(GRAIN // 2, GRAIN // 2) == GRAIN // 2
    assert budget.take_for(GRAIN // 2, GRAIN) == 0  # less than a grain is left


def test_bytes_that_count_are_given_back_first() -> None:
    budget = Budget(GRAIN)
    assert budget.take_for(0, 2 * GRAIN) == 2 * GRAIN
    budget.give_back_for(2 * GRAIN, GRAIN // 2)
    assert not budget.ample
    assert budget.take(GRAIN // 2) == GRAIN // 2
    budget.give_back_for(3 * GRAIN // 2, 3 * GRAIN // 2)
    budget.give_back(GRAIN // 2)
    assert budget.held == 0
    assert budget.take(2 * GRAIN) == GRAIN


def test_all_of_it_is_given_whatever_is_left() -> None:
    budget = Budget(0)
    assert budget.take_for(0, 3 * GRAIN, all_of_it=True) == 3 * GRAIN
    budget.give_back_for(3 * GRAIN, 3 * GRAIN)
    assert budget.held == 0

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rocket_core._budget import GRAIN, Budget


def test_take_and_give_back() -> None:
    budget = Budget(100_000)
    assert budget.take(60_000) == 60_000
    assert budget.take(60_000) == 40_000
    assert budget.take(1) == 0
    budget.give_back(60_000)
    assert budget.take(10) == 10


def test_no_crumbs() -> None:
    budget = Budget(100_000)
    assert budget.take(100_000 - GRAIN + 1) == 100_000 - GRAIN + 1
    assert budget.take(GRAIN) == 0
    assert budget.take(GRAIN - 1) == GRAIN - 1


def test_nothing_may_be_held() -> None:
    assert Budget(0).take(1) == 0
    assert Budget(0).take(0) == 0


def test_many_threads() -> None:
    budget = Budget(50 * GRAIN)

    def work(_: int) -> bool:
        taken = budget.take(GRAIN)
        within = budget.held <= 50 * GRAIN
        budget.give_back(taken)
        return within

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(5000)))
    assert budget.held == 0


def test_ample_up_to_the_half() -> None:
    for held, ample in ((0, True), (2 * GRAIN - 1, True), (2 * GRAIN, False)):
        budget = Budget(4 * GRAIN)
        budget.take(held)
        assert budget.ample is ample
    assert not Budget(0).ample

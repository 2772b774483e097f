from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rocket_core._connection.budget import GRAIN, Budget


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


def test_the_first_bytes_of_each_holder_do_not_count() -> None:
    budget = Budget(2 * GRAIN)
    for _ in range(5):
        assert budget.take_for(0, GRAIN) == GRAIN
    assert budget.held == 5 * GRAIN
    assert budget.take_for(GRAIN, 3 * GRAIN) == 2 * GRAIN
    assert budget.take_for(GRAIN, 1) == 0
    assert budget.take_for(0, 3 * GRAIN) == GRAIN
    assert budget.take_for(GRAIN // 2, GRAIN // 2) == GRAIN // 2
    assert budget.take_for(GRAIN // 2, GRAIN) == 0  # no crumbs


def test_what_is_given_back_first_is_what_counts() -> None:
    budget = Budget(GRAIN)
    assert budget.take_for(0, 2 * GRAIN) == 2 * GRAIN
    budget.give_back_for(2 * GRAIN, GRAIN // 2)
    assert not budget.ample
    assert budget.take(GRAIN // 2) == GRAIN // 2
    budget.give_back_for(3 * GRAIN // 2, 3 * GRAIN // 2)
    budget.give_back(GRAIN // 2)
    assert budget.held == 0
    assert budget.take(2 * GRAIN) == GRAIN


def test_all_of_it_is_given_whatever_there_is() -> None:
    budget = Budget(0)
    assert budget.take_for(0, 3 * GRAIN, all_of_it=True) == 3 * GRAIN
    budget.give_back_for(3 * GRAIN, 3 * GRAIN)
    assert budget.held == 0

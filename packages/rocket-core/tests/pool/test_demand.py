from __future__ import annotations

from collections.abc import Callable

import pytest

from rocket_core._pool import demand as module
from rocket_core._pool.demand import Demand, Usage, Verdict, usage

LOOK = 0.003


class Processors:
    """A process whose use of the processors the test sets, look by look."""

    def __init__(self) -> None:
        self.used = Usage(0.0, 0.0, 0, 0)
        self.demand = Demand(lambda: self.used)

    def look(
        self,
        share: float,
        *,
        slept: int = 1,
        displaced: int = 0,
        waits: bool = True,
        stuck: bool = False,
        spare: bool = True,
    ) -> Verdict:
        """Return the verdict on the time of one look, with this share of one processor."""
        at, computed, before, lost = self.used
        self.used = Usage(at + LOOK, computed + share * LOOK, before + slept, lost + displaced)
        return self.demand.look(waits=waits, stuck=stuck, spare=spare)

    def miss(self) -> Verdict:
        """Dismiss a worker, find that it is missed, and return the verdict after that."""
        assert self.look(1.0) is Verdict.DISMISS
        assert self.look(0.5) in (Verdict.CALL, Verdict.CALL_EAGERLY)
        return self.look(1.0)


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Processors]:
    def make(count: int) -> Processors:
        monkeypatch.setattr(module, "usable_cores", lambda: count)
        return Processors()

    return make


def test_waiting_work_calls_a_worker_while_the_others_sleep(
    cores: Callable[[int], Processors],
) -> None:
    processors = cores(1)
    verdicts = [processors.look(0.1) for _ in range(3)]
    assert verdicts == [Verdict.CALL, Verdict.CALL, Verdict.CALL_EAGERLY]


def test_looks_that_find_waiting_work_need_not_be_consecutive(
    cores: Callable[[int], Processors],
) -> None:
    """Each called worker ends the waiting, and soon goes away like the worker before it."""
    processors = cores(1)
    verdicts = [processors.look(0.1, waits=number % 10 == 0) for number in range(30)]
    assert verdicts[::10] == [Verdict.CALL, Verdict.CALL, Verdict.CALL_EAGERLY]


def test_rare_looks_and_looks_before_a_busy_look_do_not_count(
    cores: Callable[[int], Processors],
) -> None:
    processors = cores(1)
    for _ in range(9):
        assert processors.look(0.1) is Verdict.CALL
        for _ in range(int(module._RECENT / LOOK)):
            processors.look(0.1, waits=False)
    for _ in range(9):
        processors.look(0.1)
        processors.look(1.0)
        assert processors.look(0.1) is Verdict.CALL


def test_nothing_happens_while_no_work_waits(cores: Callable[[int], Processors]) -> None:
    processors = cores(1)
    assert [processors.look(0.1, waits=False) for _ in range(5)] == [Verdict.NOTHING] * 5


@pytest.mark.parametrize(("count", "share"), [(1, 0.95), (2, 1.9)])
def test_workers_that_compute_get_no_help(
    cores: Callable[[int], Processors], count: int, share: float
) -> None:
    processors = cores(count)
    assert [processors.look(share) for _ in range(9)] == [Verdict.DISMISS] * 9


def test_one_of_two_cores_at_work_leaves_room_for_a_worker(
    cores: Callable[[int], Processors],
) -> None:
    assert cores(2).look(1.0) is Verdict.CALL


def test_workers_that_compute_for_most_of_their_time_get_help(
    cores: Callable[[int], Processors],
) -> None:
    assert cores(1).look(0.8) is Verdict.CALL


@pytest.mark.parametrize("count", [1, 2])
def test_workers_that_compute_on_processors_others_use_get_no_help(
    cores: Callable[[int], Processors], count: int
) -> None:
    """Such workers get a small share of the processors because others have the rest.

    More workers would only make all threads of the pool compute in turns, while clients wait.
    """
    processors = cores(count)
    assert [processors.look(0.3, displaced=2) for _ in range(9)] == [Verdict.DISMISS] * 9


def test_workers_that_sleep_get_help_on_processors_others_use(
    cores: Callable[[int], Processors],
) -> None:
    processors = cores(1)
    verdicts = [processors.look(0.3, slept=8, displaced=2) for _ in range(3)]
    assert verdicts[-1] is Verdict.CALL_EAGERLY


def test_long_computation_keeps_short_ones_waiting_for_a_few_looks_only(
    cores: Callable[[int], Processors],
) -> None:
    processors = cores(1)
    verdicts = [processors.look(1.0, stuck=True) for _ in range(6)]
    assert verdicts == [*[Verdict.NOTHING] * 4, Verdict.CALL, Verdict.NOTHING]


def test_workers_that_are_missed_again_and_again_are_dismissed_ever_less_often(
    cores: Callable[[int], Processors],
) -> None:
    processors = cores(1)
    pauses = []
    for _ in range(9):
        while processors.miss() is not Verdict.NOTHING:
            pass
        began = processors.used.at
        while processors.look(1.0, spare=False) is Verdict.NOTHING:
            pass
        pauses.append(processors.used.at - began)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5], abs=3 * LOOK)


def test_dismissal_that_is_not_missed_ends_the_pauses(cores: Callable[[int], Processors]) -> None:
    processors = cores(1)
    while processors.miss() is not Verdict.NOTHING:
        pass
    while processors.look(1.0) is Verdict.NOTHING:
        pass
    for _ in range(int(module._REGRET / LOOK) + 2):
        assert processors.look(1.0, spare=False) is Verdict.DISMISS
    misses = 1
    while processors.miss() is not Verdict.NOTHING:
        misses += 1
    assert misses == module._REGRETS


def test_verdict_to_dismiss_without_a_spare_worker_is_never_missed(
    cores: Callable[[int], Processors],
) -> None:
    processors = cores(1)
    for _ in range(9):
        assert processors.look(1.0, spare=False) is Verdict.DISMISS
        processors.look(0.5)


def test_usage_measures_this_process() -> None:
    before = usage()
    total = 0
    while usage().computed == before.computed:
        total += sum(range(1000))
    after = usage()
    assert after.at > before.at
    assert after.computed > before.computed
    assert (after.slept, after.displaced) >= (before.slept, before.displaced)

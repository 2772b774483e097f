"""The explorer itself finds what is known to be there, and nothing else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from explorer import Marks, Stage, expect_found, explore
from explorer.mutation import Mutation
from explorer.search import conflict, read, written
from explorer.standins import ModelLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explorer import Model

THIS = sys.modules[__name__]


class Counter:
    """Data of the threads of a model."""

    def __init__(self) -> None:
        self.count = 0
        self.left = self.right = 0
        self.found: list[int] = []

    def increase(self) -> None:
        count = self.count
        self.count = count + 1

    def store_left(self) -> None:
        self.left = 1
        right = self.right
        self.found.append(right)

    def store_right(self) -> None:
        self.right = 1
        left = self.left
        self.found.append(left)

    def set(self) -> None:
        self.count = 1


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage(Marks([THIS], values=["count", "left", "right"], shared=["found"]))
    yield stage
    stage.close()


def states(
    stage: Stage, model: Callable[[Stage], Callable[[], object]], depth: int | None
) -> tuple[set[object], int]:
    """Return the states at rest, and how many schedules lead to them."""
    found = set()

    def noting(stage: Stage) -> Callable[[], None]:
        at_rest = model(stage)
        return lambda: found.add(at_rest())

    outcome = explore(stage, noting, depth)
    assert outcome.finding is None
    assert outcome.cut == 0
    return found, outcome.runs


def updates(stage: Stage) -> Callable[[], object]:
    """Two threads increase a count: what one has written can be lost."""
    counter = Counter()
    stage.spawn("a", counter.increase)
    stage.spawn("b", counter.increase)
    return lambda: counter.count


def stores_then_loads(stage: Stage) -> Callable[[], object]:
    """Each of two threads stores, and then loads: at least one sees the other."""
    counter = Counter()
    stage.spawn("a", counter.store_left)
    stage.spawn("b", counter.store_right)
    return lambda: tuple(counter.found)


def three(stage: Stage) -> Callable[[], object]:
    """Three threads, of which two have to do with each other."""
    counter = Counter()
    stage.spawn("a", counter.store_left)
    stage.spawn("b", counter.store_right)
    stage.spawn("c", counter.set)
    return lambda: (counter.count, *counter.found)


def test_lost_update_takes_one_preemption(stage: Stage) -> None:
    assert states(stage, updates, 0)[0] == {2}
    assert states(stage, updates, 1)[0] == {1, 2}
    assert states(stage, updates, None)[0] == {1, 2}


def test_loads_after_stores_see_each_other(stage: Stage) -> None:
    assert states(stage, stores_then_loads, None)[0] == {(0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize("model", [updates, stores_then_loads, three])
def test_sleep_sets_leave_out_schedules_and_no_state(
    stage: Stage, model: Callable[[Stage], Callable[[], object]]
) -> None:
    some, few = states(stage, model, None)
    all_of_them, many = states(stage, model, 100)
    assert some == all_of_them
    assert few < many


def locks(stage: Stage, *, ordered: bool) -> Callable[[], None]:
    one, two = ModelLock(stage, "one"), ModelLock(stage, "two")
    done: list[str] = []

    def take(name: str, first: ModelLock, second: ModelLock) -> None:
        with first, second:
            done.append(name)

    stage.spawn("a", lambda: take("a", one, two))
    stage.spawn("b", lambda: take("b", one, two) if ordered else take("b", two, one))

    def at_rest() -> None:
        assert sorted(done) == ["a", "b"], f"{stage.waiting} wait for each other"

    return at_rest


def test_deadlock_is_a_state_at_rest(stage: Stage) -> None:
    def ordered(stage: Stage) -> Callable[[], None]:
        return locks(stage, ordered=True)

    def crossed(stage: Stage) -> Callable[[], None]:
        return locks(stage, ordered=False)

    assert explore(stage, ordered).finding is None
    finding = expect_found(stage, crossed)
    assert "['a', 'b'] wait for each other" in str(finding.error)
    assert finding.preemptions == 1


def test_error_of_an_actor_is_found_and_repeated(stage: Stage) -> None:
    def model(stage: Stage) -> Callable[[], None]:
        counter = Counter()

        def check() -> None:
            counter.increase()
            if counter.count != 1:
                raise LookupError("another thread was first")

        stage.spawn("a", check)
        stage.spawn("b", counter.increase)
        return lambda: None

    finding = expect_found(stage, model)
    assert isinstance(finding.error, LookupError)
    assert "b: count in Counter.increase, line" in finding.story


def test_time_moves_when_nothing_else_does(stage: Stage) -> None:
    def model(stage: Stage) -> Callable[[], None]:
        lock = ModelLock(stage, "lock")
        lock.acquire()
        began = stage.now
        waited: list[object] = []
        stage.spawn("a", lambda: waited.append((lock.acquire(timeout=5), stage.now - began)))
        stage.spawn("b", lambda: waited.append((lock.acquire(timeout=3), stage.now - began)))

        def at_rest() -> None:
            assert waited == [(False, 3), (False, 5)]

        return at_rest

    assert explore(stage, model).finding is None


def test_lock_with_an_early_end_is_found_both_ways(stage: Stage) -> None:
    def model(stage: Stage) -> Callable[[], object]:
        lock = ModelLock(stage, "lock", early=True)
        lock.acquire()
        got: list[bool] = []
        stage.spawn("a", lambda: got.append(lock.acquire(timeout=5)))
        stage.spawn("b", lock.release)
        return lambda: tuple(got)

    assert states(stage, model, None)[0] == {(True,), (False,)}


def test_model_that_never_rests_is_cut(stage: Stage) -> None:
    def model(stage: Stage) -> Callable[[], None]:
        counter = Counter()

        def forever() -> None:
            while True:
                counter.increase()

        stage.spawn("a", forever)
        return lambda: None

    outcome = explore(stage, model, 0)
    assert (outcome.runs, outcome.cut) == (0, 1)


def test_too_large_model_is_refused(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match="more than 3 schedules"):
        explore(stage, _quietly(three), 100, most=3)


def _quietly(model: Callable[[Stage], Callable[[], object]]) -> Model:
    def quiet(stage: Stage) -> Callable[[], None]:
        model(stage)
        return lambda: None

    return quiet


def test_mutation_changes_the_code(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    Mutation(Counter, "increase", "count + 1", "count + 2").apply(monkeypatch)
    assert states(stage, updates, None)[0] == {2, 4}
    with pytest.raises(LookupError, match="does not have once"):
        Mutation(Counter, "increase", "nothing of it", "").apply(monkeypatch)


def test_schedules_are_written_as_they_are_read() -> None:
    assert written([0, 0, 0, 1, 0]) == "0*3 1 0"
    assert read("0*3 1 0") == [0, 0, 0, 1, 0]


def test_reads_do_not_conflict() -> None:
    assert not conflict({"a": False}, {"a": False, "b": True})
    assert conflict({"a": False}, {"a": True})
    assert not conflict({"a": True}, {"b": True, "c": True})

"""A deterministic explorer of interleavings: runs a model of some threads in every order.

A *model* is a function that gets the `Stage`, makes fresh objects of the code under test, spawns
the actors, and returns what is called when all of them have ended or wait: it looks whether
everything has been done that had to be, and raises `AssertionError` if not. `explore` runs the
model once for each schedule. The first one that fails is run once more, to be told in full.

A schedule is printed as ``0*3 1 0``: three steps of the first actor, one of the second one, and one
more of the first. `replay` runs the model once by such a string.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from explorer.points import Marks
from explorer.search import Replay, Search
from explorer.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from explorer.stage import Chooser

    Model = Callable[[Stage], Callable[[], None]]

__all__ = [
    "DEPTH",
    "Finding",
    "Marks",
    "Outcome",
    "Stage",
    "expect_found",
    "expect_none",
    "explore",
]

MOST_RUNS = 2_000_000
"""Schedules of one model after which it is too large."""

MOST_STEPS = 250
"""Steps after which a schedule is left. Two threads may get into each other's way again and again,
but only if each switch comes at just the wrong moment."""

DEPTH = int(os.environ.get("ROCKET_INTERLEAVINGS", "2"))
"""How many preemptions the tests explore, where a model is too large for all schedules."""


class Finding(NamedTuple):
    """A schedule that fails.

    Attributes:
        error: what was raised.
        schedule: how to repeat it.
        preemptions: how many preemptions it needs.
        story: the points that were reached, one a line.
    """

    error: BaseException
    schedule: str
    preemptions: int
    story: str

    def __str__(self) -> str:
        what = f"{type(self.error).__name__}: {self.error}"
        return f"{what}\n{self.story}\nthe schedule is {self.schedule!r}"


class Outcome(NamedTuple):
    """What an exploration has found.

    Attributes:
        runs: how many schedules were run to their ends.
        pruned: how many were left, as they were equivalent to others.
        cut: how many were left, as they had too many steps.
        longest: the steps of the longest one.
        finding: the first schedule that fails; None: there is none, and all were run.
    """

    runs: int
    pruned: int
    cut: int
    longest: int
    finding: Finding | None

    def __str__(self) -> str:
        found = "one fails" if self.finding is not None else "all are right"
        return (
            f"{self.runs} schedules of up to {self.longest} steps, {found}; "
            f"{self.pruned} others are equivalent to these, {self.cut} have too many steps"
        )


def explore(
    stage: Stage, model: Model, preemptions: int | None = None, *, most: int = MOST_RUNS
) -> Outcome:
    """Run ``model`` by every schedule with up to ``preemptions`` (None: all), until one fails.

    Raises `RuntimeError` if there are more than ``most`` schedules.
    """
    stage.prepare()
    search = Search(preemptions)
    runs = pruned = cut = longest = 0
    while True:
        if runs + pruned + cut >= most:
            raise RuntimeError(f"the model has more than {most} schedules")
        search.begin()
        error = _run(stage, model, search, record=False)
        longest = max(longest, stage.steps)
        if error is not None:
            schedule, needed = search.schedule, search.preemptions
            again = replay(stage, model, schedule)
            if type(again) is not type(error):
                raise RuntimeError(f"{schedule!r} fails with {error!r}, and then with {again!r}")
            found = Finding(error, schedule, needed, "\n".join(stage.story))
            return Outcome(runs + 1, pruned, cut, longest, found)
        if stage.pruned:
            pruned += 1
        elif stage.steps > MOST_STEPS:
            cut += 1
        else:
            runs += 1
        if not search.advance():
            return Outcome(runs, pruned, cut, longest, None)


def replay(stage: Stage, model: Model, schedule: str) -> BaseException | None:
    """Run ``model`` once by ``schedule``; return what it raises. `Stage.story` tells it."""
    stage.prepare()
    return _run(stage, model, Replay(schedule), record=True)


def _run(stage: Stage, model: Model, chooser: Chooser, *, record: bool) -> BaseException | None:
    stage.reset(chooser, most_steps=MOST_STEPS, record=record)
    at_rest = model(stage)
    stage.run()
    if isinstance(chooser, Search) and not stage.pruned:
        chooser.end(stage.footprint)
    error = stage.failure
    try:
        if error is None and not stage.pruned and stage.steps <= MOST_STEPS:
            at_rest()
    except AssertionError as failed:
        error = failed
    finally:
        stage.abandon()
    return error


def expect_none(stage: Stage, model: Model, *, least: int = 2, depth: int | None = DEPTH) -> None:
    """Fail if a schedule does with up to ``depth`` preemptions (None: all schedules).

    Or if there are fewer than ``least`` schedules: the names of the marks may have changed.
    """
    outcome = explore(stage, model, depth)
    print(f"{model.__name__}: {outcome}")  # noqa: T201 - so that pytest shows it with -s
    assert outcome.finding is None, str(outcome.finding)
    assert not outcome.cut, "there are schedules without an end"
    assert outcome.runs >= least, f"the model has only {outcome.runs} schedules"


def expect_found(stage: Stage, model: Model, *, most: int = 2) -> Finding:
    """Return the first schedule that fails, with as few preemptions as that takes."""
    for preemptions in range(most + 1):
        outcome = explore(stage, model, preemptions)
        if outcome.finding is not None:
            found = outcome.finding
            print(f"{model.__name__}: {outcome}\n{found}")  # noqa: T201 - as above
            return found
    raise AssertionError(f"no schedule with up to {most} preemptions fails")

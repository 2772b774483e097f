"""The search through all schedules of a model: which of the threads that can go on does so next.

Every run of a model is a path of decisions. The search repeats the path of the last run up to the
deepest decision that has another alternative, takes that one, and goes on as before; so it is a
depth-first walk through the tree of all paths, which keeps one path in memory. There are two ways
to keep the tree small:

- **A limit of preemptions**: a preemption is a switch away from a thread that could have gone on.
  Switches that a thread makes necessary by waiting are free. Most errors between threads need one
  or two preemptions (the observation on which CHESS is based).
- **Sleep sets**, where there is no such limit: each step of a thread, from one marked point to the
  next, has a footprint, the names of the shared data that it reads or writes. Steps of two threads
  whose footprints do not conflict lead to the same state in both orders, so that only one of the
  orders is run. What is left is exhaustive: no state at rest is missed.
"""

from __future__ import annotations

from itertools import chain, groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Footprint = dict[str, bool]
"""The names that a step uses, and whether it may change what they stand for."""


class PrunedError(Exception):
    """Every schedule that begins as the present one is equivalent to one that was run."""


class Decision:
    """A point at which the search has chosen a thread.

    Attributes:
        choice: the thread that goes on from here.
        done: the threads that were chosen before, with the footprints of their steps.
        enabled: the threads that can go on.
        footprint: that of the step of ``choice``, once it has been run.
        present: the thread that has run until here; -1: none, or one that has ended.
        sleeping: threads whose next step, of this footprint, need not be run here.
        spent: the preemptions before this decision.
    """

    __slots__ = ("choice", "done", "enabled", "footprint", "present", "sleeping", "spent")

    def __init__(
        self, enabled: Sequence[int], present: int, sleeping: dict[int, Footprint], spent: int
    ) -> None:
        self.enabled = tuple(enabled)
        self.present = present
        self.sleeping = sleeping
        self.spent = spent
        self.choice = -1
        self.done: dict[int, Footprint] = {}
        self.footprint: Footprint = {}

    def cost(self, choice: int) -> int:
        """Return the preemptions that ``choice`` is."""
        return int(choice != self.present and self.present in self.enabled)


class Search:
    """Chooses a thread at each point, so that all schedules are run one after the other."""

    def __init__(self, preemptions: int | None = None) -> None:
        """Run the schedules with up to ``preemptions``; None: all of them, by sleep sets."""
        self._limit = preemptions
        self._path: list[Decision] = []
        self._depth = 0

    def begin(self) -> None:
        """Note that a run begins."""
        self._depth = 0

    def choose(self, enabled: Sequence[int], present: int, footprint: Footprint) -> int:
        """Return which of ``enabled`` goes on.

        ``footprint`` is that of the step that ``present`` has just made. Raises `PrunedError`.
        """
        self.end(footprint)
        if self._depth < len(self._path):
            decision = self._path[self._depth]
            if decision.enabled != tuple(enabled):
                raise RuntimeError("the model is not deterministic: a schedule cannot be repeated")
        else:
            decision = self._decide(enabled, present)
            self._path.append(decision)
        self._depth += 1
        return decision.choice

    def _decide(self, enabled: Sequence[int], present: int) -> Decision:
        sleeping: dict[int, Footprint] = {}
        spent = 0
        if self._path:
            last = self._path[-1]
            spent = last.spent + last.cost(last.choice)
            if self._limit is None:
                sleeping = {
                    thread: step
                    for thread, step in chain(last.sleeping.items(), last.done.items())
                    if thread != last.choice and not conflict(step, last.footprint)
                }
        decision = Decision(enabled, present, sleeping, spent)
        awake = [thread for thread in enabled if thread not in sleeping]
        if not awake:
            raise PrunedError
        decision.choice = present if present in awake else awake[0]
        return decision

    def end(self, footprint: Footprint) -> None:
        """Note the footprint of the last step."""
        if self._depth:
            self._path[self._depth - 1].footprint = footprint

    def advance(self) -> bool:
        """Go on to the next schedule; return False when all have been run."""
        while self._path:
            decision = self._path[-1]
            decision.done[decision.choice] = decision.footprint
            for thread in decision.enabled:
                if thread in decision.done or thread in decision.sleeping:
                    continue
                if self._limit is None or decision.spent + decision.cost(thread) <= self._limit:
                    decision.choice = thread
                    return True
            self._path.pop()
        return False

    @property
    def schedule(self) -> str:
        """The schedule of the present run, which `Replay` takes."""
        return written(decision.choice for decision in self._path[: self._depth])

    @property
    def preemptions(self) -> int:
        """The preemptions of the present run."""
        return sum(each.cost(each.choice) for each in self._path[: self._depth])


class Replay:
    """Chooses as a schedule says, and afterwards whichever thread comes first."""

    def __init__(self, schedule: str) -> None:
        self._choices = read(schedule)
        self._depth = 0

    def choose(self, enabled: Sequence[int], present: int, footprint: Footprint) -> int:
        """Return which of ``enabled`` goes on."""
        del footprint
        self._depth += 1
        if self._depth > len(self._choices):
            return present if present in enabled else enabled[0]
        choice = self._choices[self._depth - 1]
        if choice not in enabled:
            raise RuntimeError(f"the schedule does not fit the model: {choice} cannot go on")
        return choice


def conflict(one: Footprint, other: Footprint) -> bool:
    """Return whether two steps may not be exchanged."""
    if len(one) > len(other):
        one, other = other, one
    return any(name in other and (writes or other[name]) for name, writes in one.items())


def written(choices: Iterable[int]) -> str:
    """Return a schedule as a string: ``0*3 1`` is three steps of thread 0, and one of thread 1."""
    runs = ((thread, len(list(steps))) for thread, steps in groupby(choices))
    return " ".join(f"{thread}*{count}" if count > 1 else str(thread) for thread, count in runs)


def read(schedule: str) -> list[int]:
    """Return the choices of a schedule that `written` has returned."""
    choices: list[int] = []
    for run in schedule.split():
        thread, _, count = run.partition("*")
        choices += [int(thread)] * int(count or 1)
    return choices

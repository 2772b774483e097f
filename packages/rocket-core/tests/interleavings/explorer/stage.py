"""Runs the threads of a model one at a time, and switches between them at marked points.

Each `Actor` is a real thread that waits at its gate until it is chosen. The thread that runs
reaches a *point*: it asks the search who goes on, and if that is another one, opens its gate and
waits at its own. Points are

- before each instruction of the code under test that uses marked data, see `points`;
- at the stand-ins for locks, threads and the poller, which the tests put into the modules under
  test. An actor that waits there cannot go on before it may, so that it is known what can run.

Time stands still while an actor can go on. When none can, it moves to the next time at which one
that waits gives up. When none waits for a time either, the model is *at rest*: the test looks
whether all has been done that had to be. So a wake-up that was lost is found, not waited for.

The scheduler is fair, as that of CHESS is: an actor that has polled in vain, for the second time,
lets each actor go first that could have gone on in between. Else there would be schedules without
an end, in which one thread polls in vain again and again for what another one is about to do.
"""

from __future__ import annotations

import sys
import threading
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from explorer.points import Marks, Watch
from explorer.search import Footprint, PrunedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PATIENCE: Final = 60.0
"""Seconds after which a run that makes no step has failed: an actor waits for something real."""


class AbandonedError(BaseException):
    """Ends an actor whose run is over."""


class Chooser(Protocol):
    """What decides which thread goes on: `Search` or `Replay`."""

    def choose(self, enabled: Sequence[int], present: int, footprint: Footprint) -> int:
        """Return which of ``enabled`` goes on."""


class Actor:
    """A thread of the model. Only the stage uses it.

    Attributes:
        alive: whether it has not ended.
        behind: the actors that go first, as bits, if they can go on.
        early: whether it may give up waiting at any time.
        ready: tells whether it can go on; None: it can.
        passed: the actors that could have gone on, and did not, since this one has last given way.
        until: when it gives up waiting.
    """

    __slots__ = (
        "alive",
        "behind",
        "body",
        "carrier",
        "early",
        "index",
        "name",
        "passed",
        "ready",
        "started",
        "until",
    )

    def __init__(self, index: int, name: str, body: Callable[[], object], carrier: Carrier) -> None:
        self.index = index
        self.name = name
        self.body = body
        self.carrier = carrier
        self.alive = True
        self.started = False
        self.ready: Callable[[], bool] | None = None
        self.until = inf
        self.early = False
        self.behind = 0
        self.passed: int | None = None


class Carrier(threading.Thread):
    """A real thread, which is used for one actor after the other: starting one takes a while."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.gate = threading.Lock()
        self.gate.acquire()
        self.job: Callable[[], None] | None = None

    def run(self) -> None:
        while True:
            self.gate.acquire()
            if self.job is None:
                return
            self.job()


class Stage:
    """The threads of a model, of which one runs at a time.

    Attributes:
        footprint: that of the present step, or of the last one.
        failure: what an actor has raised; None: nothing yet.
        now: the time of the model.
        pruned: whether the run was ended early, as an equivalent one has been run.
        steps: how many decisions were taken.
        story: the points that were reached, where the stage records them.
    """

    def __init__(self, marks: Marks) -> None:
        self._watch = Watch(marks, self.point)
        self._carriers: list[Carrier] = []
        self._main = threading.Lock()
        self._main.acquire()
        self.reset(None)

    def reset(self, chooser: Chooser | None, *, most_steps: int = 0, record: bool = False) -> None:
        """Forget all actors, and begin again with a run of up to ``most_steps``."""
        self._chooser = chooser
        self._most_steps = most_steps
        self._actors: list[Actor] = []
        self._running: Actor | None = None
        self.footprint: Footprint = {}
        self._abandoning = False
        self._record = record
        self._names = 0
        self._fair = False
        self.failure: BaseException | None = None
        self.pruned = False
        self.now = 1000.0
        self.steps = 0
        self.story: list[str] = []

    def prepare(self) -> None:
        """See to it that the points are found in the code under test as it is now."""
        self._watch.prepare()

    def close(self) -> None:
        """End the real threads."""
        self._watch.close()
        for carrier in self._carriers:
            carrier.job = None
            carrier.gate.release()
        for carrier in self._carriers:
            carrier.join(_PATIENCE)

    # -- the test ------------------------------------------------------------------------------

    def spawn(self, name: str, body: Callable[[], object]) -> None:
        """Have ``body`` run by an actor. May be called before the run, or by another actor."""
        index = len(self._actors)
        if index == len(self._carriers):
            carrier = Carrier()
            carrier.start()
            self._carriers.append(carrier)
        actor = Actor(index, name, body, self._carriers[index])
        actor.carrier.job = lambda: self._perform(actor)
        self._actors.append(actor)

    def run(self) -> None:
        """Run until the model is at rest, or the search leaves the run."""
        self._switch(None)
        if not self._main.acquire(timeout=_PATIENCE):
            raise RuntimeError("an actor waits for something that is not a part of the model")
        self._running = None

    def abandon(self) -> None:
        """End the actors that wait."""
        self._abandoning = True
        for actor in self._actors:
            if actor.started and actor.alive:
                self._running = actor
                actor.carrier.gate.release()
                if not self._main.acquire(timeout=_PATIENCE):
                    raise RuntimeError(f"{actor.name} does not end")
        self._running = None

    @property
    def waiting(self) -> list[str]:
        """The names of the actors that have not ended."""
        return [actor.name for actor in self._actors if actor.alive]

    def name(self, kind: str) -> str:
        """Return a name for an object of the model, which is the same in each run."""
        self._names += 1
        return f"{kind} {self._names}"

    # -- the model, on the thread that runs ----------------------------------------------------

    def point(self, name: str, *, writes: bool = True, depth: int = 0) -> None:
        """Let another thread go on here, before data called ``name`` is used.

        ``depth`` is the number of calls between the code under test and this one; 0: it is no code
        under test.
        """
        actor = self._running
        if actor is None:
            return
        where = ""
        if self._record and depth:
            frame = sys._getframe(depth)
            where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
        self._reach(actor, name, where)
        self.touch(name, writes=writes)

    def wait(
        self, name: str, ready: Callable[[], bool], until: float = inf, *, early: bool = False
    ) -> bool:
        """Go on when ``ready`` returns True, and return so; or False, when it is ``until``.

        With ``early``, that may be at any time. ``name`` is what ``ready`` looks at.
        """
        actor = self._running
        if actor is None:  # before the run, or after it
            return ready()
        actor.ready, actor.until, actor.early = ready, until, early
        self._reach(actor, name, "")
        actor.ready, actor.until, actor.early = None, inf, False
        self.touch(name)
        return ready()

    def give_way(self) -> None:
        """Let the actors go first that the present one has kept from going on since it did this."""
        actor = self._running
        if actor is not None:
            actor.behind |= actor.passed or 0
            actor.passed = 0
            self._fair = True

    def touch(self, name: str, *, writes: bool = True) -> None:
        """Note that the present step uses data called ``name``."""
        self.footprint[name] = writes or self.footprint.get(name, False)

    def fail(self, error: BaseException) -> None:
        """Have the run fail with ``error``, unless it is over."""
        if not self._abandoning and self.failure is None:
            self.failure = error

    def _reach(self, actor: Actor, name: str, where: str) -> None:
        if self._abandoning:
            raise AbandonedError
        self._switch(actor)
        if self._record:
            self.story.append(f"{actor.name}: {name}{where and ' in '}{where}")

    # -- the baton -----------------------------------------------------------------------------

    def _switch(self, actor: Actor | None) -> None:
        """Hand the baton on; return when ``actor`` has it again, or at once if it has none."""
        following = self._decide(-1 if actor is None else actor.index)
        if following is not None and following is actor:
            return
        self._running = following
        if following is None:
            self._main.release()
        else:
            following.started = True
            following.carrier.gate.release()
        if actor is not None:
            actor.carrier.gate.acquire()
            if self._abandoning:
                raise AbandonedError

    def _decide(self, present: int) -> Actor | None:
        """Return which actor goes on; None: the run is over."""
        if self.failure is not None or self._chooser is None:
            return None
        enabled = self._enabled()
        while not enabled:
            until = min((each.until for each in self._actors if each.alive), default=inf)
            if until == inf:
                return None
            self.now = max(self.now, until)
            self.touch("time")
            enabled = self._enabled()
        self.steps += 1
        if self.steps > self._most_steps:
            return None
        footprint, self.footprint = self.footprint, {}
        first = self._first(enabled) if self._fair else enabled
        try:
            choice = self._chooser.choose(first, present, footprint)
        except PrunedError:
            self.pruned = True
        except RuntimeError as error:
            self.failure = error
        else:
            if self._fair:
                self._note(enabled, choice)
            return self._actors[choice]
        return None

    def _first(self, enabled: list[int]) -> list[int]:
        """Return those of ``enabled`` that need not let another of them go first."""
        mask = sum(1 << index for index in enabled)
        return [index for index in enabled if not self._actors[index].behind & mask] or enabled

    def _note(self, enabled: list[int], choice: int) -> None:
        """Note which actors could go on, and which one does."""
        passed = sum(1 << index for index in enabled if index != choice)
        for actor in self._actors:
            if actor.passed is not None:
                actor.passed = (actor.passed | passed) & ~(1 << choice | 1 << actor.index)
            actor.behind &= ~(1 << choice)

    def _enabled(self) -> list[int]:
        now = self.now
        return [
            each.index
            for each in self._actors
            if each.alive
            and (each.ready is None or each.early or each.ready() or now >= each.until)
        ]

    def _perform(self, actor: Actor) -> None:
        """On a carrier: run an actor."""
        try:
            self._watch.run(actor.body)
        except AbandonedError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is what the test is to find
            self.fail(error)
        actor.alive = False
        if self._abandoning:
            self._main.release()
        else:
            self._switch(None)

"""The processes that serve, one generation after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

from rocket_cli._application.site import Site
from rocket_cli._processes.channel import Message
from rocket_cli._processes.worker_process import Serve
from rocket_cli._settings.chosen import Chosen
from rocket_cli._sockets.balance import ConnectionCounts
from rocket_cli._sockets.bound_sockets import BoundSocket, close_sockets
from rocket_cli._supervisor.children import Child, Children, Phase, describe_end
from rocket_cli._supervisor.generation import Generation
from rocket_cli._supervisor.memory_limit import MemoryWatch
from rocket_cli._supervisor.restarts import Restarts
from rocket_cli._supervisor.survival import failure_of
from rocket_cli._supervisor.timers import Timers
from rocket_cli._supervisor.working_directory import WorkingDirectory

_log = logging.getLogger("rocket_cli")

_SERVES: Final = frozenset({Phase.SERVING, Phase.RETIRING})
_COUNTS: Final = frozenset({Phase.BOOTING, Phase.READY, Phase.SERVING})


class Outcome(Protocol):
    """What becomes of generations, for whom it concerns."""

    def served(self, generation: Generation, report: Message) -> None:
        """The first generation serves; one of its processes has reported what."""

    def reloaded(self, generation: Generation) -> None:
        """Another generation serves, and the one before accepts nobody any more."""

    def rejected(self, failure: Message) -> None:
        """Another generation could not begin, and the one before goes on."""

    def failed(self, failure: Message) -> None:
        """Nothing serves, and nothing can be started."""

    def closed(self) -> None:
        """All of them end, and accept nobody any more."""


class Generations:
    """The present generation, the one that is to replace it, and those that drain.

    Attributes:
        present: the generation that serves.
        incoming: the one that boots beside it, and serves once all of it is ready.
        watched: where the code of the one that serves is, if that was reported.
        replaced: how many processes have ended by themselves, and were replaced.
    """

    def __init__(
        self, children: Children, timers: Timers, surroundings: WorkingDirectory, outcome: Outcome
    ) -> None:
        """Start nothing yet."""
        self._children = children
        self._surroundings = surroundings
        self._outcome = outcome
        self._balance = ConnectionCounts()
        self._closing: set[Child] = set()
        self._last_number = 0
        self._restarts = Restarts(timers, self._fill)
        self._memory = MemoryWatch(timers, self._serving, self.retire)
        self._ending = False
        self.present: Generation | None = None
        self.incoming: Generation | None = None
        self.watched: Message | None = None
        self.replaced = 0

    @property
    def settled(self) -> bool:
        """Whether no generation is taking over."""
        return self.incoming is None and not self._closing

    @property
    def sockets(self) -> list[BoundSocket]:
        """The sockets of both generations."""
        found = [] if self.present is None else list(self.present.sockets)
        if self.incoming is not None:
            kept = {each.socket for each in found}
            found += [each for each in self.incoming.sockets if each.socket not in kept]
        return found

    # -- generations -------------------------------------------------------------------------------

    def begin(
        self, chosen: Chosen, sockets: list[BoundSocket], size: int, site: Site | None = None
    ) -> None:
        """Boot a generation beside the present one."""
        self._last_number += 1
        self.incoming = generation = Generation(self._last_number, chosen, sockets, size, site)
        for _ in range(generation.size):
            failure = self._spawn(generation)
            if failure is not None:
                self._reject(failure)
                return

    def _spawn(self, generation: Generation) -> Message | None:
        """Fork; why that cannot be, if so."""
        place = self._balance.take()
        try:
            self._surroundings.keep(generation.chosen)
            task = Serve(
                generation.chosen,
                generation.sockets,
                multiprocess=generation.size > 1,
                paths=self._paths(generation),
                place=place,
                site=generation.site,
            )
            self._children.spawn(task, generation.number)
        except Exception as error:  # noqa: BLE001 - what serves goes on, whatever it is
            self._balance.give_back(place)
            return failure_of("fork failed", error)
        return None

    def _paths(self, generation: Generation) -> list[str]:
        """What a new process must answer; where it is to replace others, the application, too."""
        chosen = generation.chosen
        paths = [] if chosen["health"] is None else [chosen["health"]]
        if self.present is not None and generation is self.incoming:
            paths += chosen["reserved"]
        return paths

    def _reject(self, failure: Message) -> None:
        """The generation that boots is given up, the previous one stays."""
        incoming = self.incoming
        if incoming is None:
            return
        self.incoming = None
        for child in self._of(incoming):
            self._children.end(child, {"order": "stop"})
        present = self.present
        if present is None:
            close_sockets(incoming.sockets)
            self._outcome.failed(failure)
        else:
            kept = {each.socket for each in present.sockets}
            close_sockets(each for each in incoming.sockets if each.socket not in kept)
            self._outcome.rejected(failure)

    def _switch(self, incoming: Generation, report: Message) -> None:
        """The new generation is ready: it serves, and the previous one drains."""
        present, self.present, self.incoming = self.present, incoming, None
        self.watched = report.get("watch")
        self._restarts.succeeded()
        for child in self._of(incoming):
            self._serve(child)
        self._memory.watch(incoming.chosen["max-rss"])
        if present is None:
            self._outcome.served(incoming, report)
            return
        kept = {each.socket for each in incoming.sockets}
        shared = [n for n, each in enumerate(present.sockets) if each.socket in kept]
        close_sockets(each for each in present.sockets if each.socket not in kept)
        self._closing = set(self._of(present))
        for child in list(self._closing):
            self._children.tell(child, {"order": "reopen"})  # the file may have been moved away
            self._drain(child, present, shared)
        if not self._closing:
            self._outcome.reloaded(incoming)

    def closed(self, child: Child) -> None:
        """``child``, which drains, accepts nobody any more, or has ended."""
        if child in self._closing:
            self._closing.remove(child)
            if self._closing or self.present is None:
                return
            if self._ending:
                self._outcome.closed()
            else:
                self._outcome.reloaded(self.present)

    def change(self, name: str, value: Any) -> None:
        """Have processes that begin from now on, until a reload, with another setting."""
        for generation in (self.present, self.incoming):
            if generation is not None:
                generation.chosen = generation.chosen.changed(name, value)

    def _of(self, generation: Generation) -> list[Child]:
        return [
            child
            for child in self._children
            if child.generation == generation.number and child.phase is not Phase.ENDING
        ]

    def _serve(self, child: Child) -> None:
        child.phase = Phase.SERVING
        self._children.tell(child, {"order": "serve"})

    def _drain(self, child: Child, generation: Generation, shared: Sequence[int]) -> None:
        """Have a process finish; what waits at ``shared`` of its sockets is left to others."""
        seconds = generation.chosen["graceful-timeout"]
        order = {"order": "drain", "seconds": seconds, "shared": list(shared)}
        self._children.end(child, order, seconds)

    # -- the number of processes -------------------------------------------------------------------

    def resize(self, size: int) -> None:
        """Have so many processes serve, at least one."""
        if self.present is not None:
            self.present.size = max(size, 1)
            self._fill()

    def _fill(self) -> None:
        """Start what is missing of the present generation, and end what is too much."""
        generation = self.present
        if generation is None or self._ending:
            return
        present = [child for child in self._of(generation) if child.phase in _COUNTS]
        for child in present[: max(len(present) - generation.size, 0)]:
            self._drain(child, generation, range(len(generation.sockets)))
        for _ in range(generation.size - len(present)):
            if not self._restarts.may_start():
                return
            failure = self._spawn(generation)
            if failure is not None:  # no fault of what is served: there may be room later
                _log.error("cannot start a process yet: %s", failure["reason"])
                self._restarts.failed()
                return

    def _serving(self) -> list[Child]:
        """The processes of the present generation that serve, and are not to be replaced."""
        present = [] if self.present is None else self._of(self.present)
        return [child for child in present if child.phase is Phase.SERVING]

    def retire(self, child: Child, why: str) -> None:
        """Have another process take the place of ``child``, which serves until then."""
        _log.info("%s is replaced: %s", child, why)
        child.phase = Phase.RETIRING
        self._fill()

    def ready(self, child: Child, report: Message) -> None:
        """``child`` could serve, and has reported what."""
        incoming = self.incoming
        if incoming is not None and child.generation == incoming.number:
            if all(each.phase is Phase.READY for each in self._of(incoming)):
                self._switch(incoming, report)
            return
        generation = self.present
        if generation is None or self._ending:
            return
        self._restarts.succeeded()
        self._serve(child)
        _log.info("%s serves", child)
        retiring = [each for each in self._of(generation) if each.phase is Phase.RETIRING]
        for each in retiring[:1]:
            self._drain(each, generation, range(len(generation.sockets)))

    def ended(self, child: Child, phase: Phase, code: int) -> None:
        """``child``, which was in ``phase``, has ended."""
        if isinstance(child.task, Serve):
            self._balance.give_back(child.task.place)
        self.closed(child)
        if self._ending:
            return
        if phase is Phase.ENDING:
            if child.ready and code:
                _log.error("%s %s before it had finished", child, describe_end(code))
            return
        failure = child.failure or {"reason": f"{child} {describe_end(code)} before it was ready"}
        if self.incoming is not None and child.generation == self.incoming.number:
            self._reject(failure)
        elif phase in _SERVES:
            _log.error("%s %s; another takes its place", child, describe_end(code))
            self.replaced += 1
            self._restarts.died(child.since)
            self._fill()
        else:
            self._boot_failed(failure)

    def mend(self) -> None:
        """Do what was left undone if an error came between the end of a process and this."""
        for child in self._closing - set(self._children):
            self.closed(child)
        if self.incoming is not None and not self._of(self.incoming):
            self._reject({"reason": "its processes have ended"})
        self._fill()

    def _boot_failed(self, failure: Message) -> None:
        """A process that was to replace another could not begin."""
        _log.error("cannot start a process: %s", failure["reason"])
        serving = any(child.phase in _SERVES for child in self._children)
        if not self._restarts.failed() and not serving:
            self._outcome.failed(failure)
        else:
            self._fill()

    # -- the end -----------------------------------------------------------------------------------

    def end(self, *, gently: bool, succeeded: bool = False) -> None:
        """Have all of them end; with ``succeeded``, another supervisor has the sockets, too.

        This process's own copies of the sockets are closed first, so that nobody is left in a
        backlog that no process looks at any more.
        """
        self._ending = True
        close_sockets(self.sockets, keep_files=succeeded)
        present = self.present
        for child in self._children:
            if not child.generation:
                continue
            if gently and child.phase is Phase.ENDING:
                continue  # it drains already
            if gently and present is not None and child.generation == present.number:
                self._closing.add(child)
                self._drain(child, present, range(len(present.sockets)) if succeeded else ())
            else:
                self._children.end(child, {"order": "stop"})
        if not self._closing:
            self._outcome.closed()

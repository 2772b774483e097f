"""The generations of worker processes: starting them, replacing them, and ending them.

Theory of operation. At most one generation is *present*: its processes serve. At most one is
*incoming*: its processes load the application beside the present ones. When all processes of the
incoming generation are ready, it becomes the present one, and the processes of the previous
generation drain: they accept no more connections, finish their requests, and end. If a process of
the incoming generation fails, that generation is given up, and nothing changes for clients.

    begin() -> incoming -> all ready -> _switch() -> present -> _switch() of the next -> draining
                  |
                  +-> a process fails -> _reject()

With ``--reload-grace``, the previous generation is *kept* for a time before it drains: its
processes serve their connections, and accept no others. If a process of the present generation ends
unexpectedly in this time, the generations change places again: that is `_fall_back`.

    begin() -> incoming -> all ready -> _switch() -> present -> grace is over -> settled
                                                        |
                                                        +-> a process ends -> _fall_back()

Until then, no other generation begins (`settled`).

The life of a single process is the table of `Phase`. Within the present generation, `_fill` is the
only place that starts or ends processes because of their number: it compares the processes that
count (`_COUNTED`) with the intended size. A retiring process does not count, so its replacement is
started while it still serves; it drains when a replacement reports that it is ready.

Everything runs on the supervisor's thread. Events of processes still arrive in any order:

1. The incoming generation has two processes, and the first is ready.
2. The second fails, `_reject` gives the generation up and tells the first to stop.
3. A message or the end of the first arrives. Its phase is `Phase.ENDING`, and `incoming` is None or
   a later generation with another number, so the event changes nothing.

Sockets: a reload closes only the supervisor's copies of sockets that the new settings no longer
name, and the draining processes accept what is still in their backlogs. Connections in the backlog
of a shared socket are left to the new processes (``shared`` in the order to drain).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from socket import socket
from typing import Any, Final, Protocol

from rocket_cli._application.hooks import Hooks, HookWorker, Moment
from rocket_cli._application.site import Site
from rocket_cli._processes.channel import Message
from rocket_cli._processes.worker_process import Serve
from rocket_cli._settings.chosen import Chosen
from rocket_cli._sockets.balance import ConnectionCounts
from rocket_cli._sockets.bound_sockets import BoundSocket, close_sockets
from rocket_cli._supervisor.child import Child, Phase, describe_end
from rocket_cli._supervisor.children import Children
from rocket_cli._supervisor.error_handling import failure_of
from rocket_cli._supervisor.generation import Generation
from rocket_cli._supervisor.memory_limit import MemoryWatch
from rocket_cli._supervisor.message_bus import MessageBus
from rocket_cli._supervisor.restarts import Restarts
from rocket_cli._supervisor.timers import Timers
from rocket_cli._supervisor.working_directory import WorkingDirectory
from rocket_cli._units import seconds

_log = logging.getLogger("rocket_cli")

_SERVES: Final = frozenset({Phase.SERVING, Phase.RETIRING})
_COUNTED: Final = frozenset({Phase.BOOTING, Phase.READY, Phase.SERVING})


def lifetime(chosen: Chosen) -> float:
    """Return the seconds after which a process is to be replaced, which differ."""
    limit: float = chosen["max-lifetime"]
    jitter: float | None = chosen["max-lifetime-jitter"]
    return limit + random.uniform(0, limit / 10 if jitter is None else jitter)  # noqa: S311


class Outcome(Protocol):
    """The calls by which `Generations` reports what has happened."""

    def served(self, generation: Generation, report: Message) -> None:
        """The first generation serves; ``report`` is the last message ``ready`` of a process."""

    def reloaded(self, generation: Generation) -> None:
        """Another generation serves, and the previous one accepts no more connections."""

    def rejected(self, failure: Message) -> None:
        """Another generation could not start, and the present one keeps serving."""

    def failed(self, failure: Message) -> None:
        """No process serves, and none can be started."""

    def closed(self) -> None:
        """All processes are about to end, and none accepts connections any more."""


class Generations:
    """The present generation, the incoming one, and the processes that drain.

    Attributes:
        present: the generation that serves.
        incoming: the generation that loads the application, and serves when all of it is ready.
        kept: the generation that serves again if the present one fails.
        watched: the directories with the code of the present generation, as its worker reported
            them for ``--reload``.
        replaced: the number of processes that ended unexpectedly and were replaced.
        failed_starts: the number of processes that could not be started, or ended before they were
            ready.
        hooks: the functions to be called at certain moments.
    """

    hooks: Hooks

    def __init__(
        self,
        children: Children,
        timers: Timers,
        working_directory: WorkingDirectory,
        bus: MessageBus,
        outcome: Outcome,
    ) -> None:
        """Start no process yet; `hooks` is to be set before the first one."""
        self._children = children
        self._bus = bus
        self._working_directory = working_directory
        self._outcome = outcome
        self._timers = timers
        self._connection_counts = ConnectionCounts()
        self._closing: set[Child] = set()
        self._last_number = 0
        self._restarts = Restarts(timers, self._fill)
        self._memory = MemoryWatch(timers, self._serving, self.retire)
        self._ending = False
        self.present: Generation | None = None
        self.incoming: Generation | None = None
        self.kept: Generation | None = None
        self._watched_before: Message | None = None
        self.watched: Message | None = None
        self.replaced = 0
        self.failed_starts = 0

    @property
    def wanted(self) -> int:
        """The number of processes that are to serve."""
        return 0 if self.present is None else self.present.size

    @property
    def settled(self) -> bool:
        """Whether no generation is about to take over."""
        return self.incoming is None and self.kept is None and not self._closing

    @property
    def sockets(self) -> list[BoundSocket]:
        """The sockets of the present, the incoming and the kept generation, each once."""
        found: dict[socket, BoundSocket] = {}
        for generation in (self.present, self.incoming, self.kept):
            if generation is not None:
                for each in generation.sockets:
                    found.setdefault(each.socket, each)
        return list(found.values())

    # -- replacing a generation --------------------------------------------------------------------

    def begin(
        self, chosen: Chosen, sockets: list[BoundSocket], size: int, site: Site | None = None
    ) -> None:
        """Start the processes of a new generation beside the present one."""
        self._last_number += 1
        self.incoming = generation = Generation(self._last_number, chosen, sockets, size, site)
        for _ in range(generation.size):
            failure = self._spawn(generation)
            if failure is not None:
                self._reject(failure)
                return

    def _spawn(self, generation: Generation) -> Message | None:
        """Fork a process; return the failure if that is impossible."""
        slot = self._connection_counts.take()
        link = None
        try:
            self.hooks.require(Moment.PRE_FORK, HookWorker(0, generation.number))
            link = self._bus.open()
            self._working_directory.keep(generation.chosen)
            task = Serve(
                generation.chosen,
                generation.sockets,
                multiprocess=generation.size > 1,
                paths=self._paths(generation),
                slot=slot,
                bus=link.theirs,
                hooks=self.hooks,
                site=generation.site,
            )
            self._bus.joined(link, self._children.spawn(task, generation.number))
        except Exception as error:  # noqa: BLE001 - no error may end a server that runs
            self._connection_counts.give_back(slot)
            if link is not None:
                self._bus.close(link)
            return failure_of("fork failed", error)
        return None

    def _paths(self, generation: Generation) -> list[str]:
        """Return the paths that a new process must answer before it is ready.

        A process that replaces others on a reload must also answer those of ``--reserved``, which
        the application serves.
        """
        chosen = generation.chosen
        paths = [] if chosen["health"] is None else [chosen["health"]]
        if self.present is not None and generation is self.incoming:
            paths += chosen["reserved"]
        return paths

    def _reject(self, failure: Message) -> None:
        """Give up the incoming generation; the present one keeps serving."""
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
        """Let the new generation serve, and the previous one drain, now or after a grace."""
        present, self.present, self.incoming = self.present, incoming, None
        self._watched_before, self.watched = self.watched, report.get("watch")
        for child in self._of(incoming):
            self._serve(child, incoming.chosen)
        self._memory.watch(incoming.chosen["max-rss"])
        grace = incoming.chosen["reload-grace"]
        if present is None:
            self._outcome.served(incoming, report)
        elif grace:
            self._keep(present, incoming, grace)
        else:
            self._end_previous(present, incoming)

    def _end_previous(self, present: Generation, incoming: Generation) -> None:
        """Let ``present`` drain, in favour of ``incoming``, which serves."""
        kept = {each.socket for each in incoming.sockets}
        shared = [n for n, each in enumerate(present.sockets) if each.socket in kept]
        close_sockets(each for each in present.sockets if each.socket not in kept)
        self._closing = set(self._of(present))
        for child in list(self._closing):
            self._children.tell(child, {"order": "reopen"})  # logrotate may have moved the files
            self._drain(child, present, shared)
        if not self._closing:
            self._outcome.reloaded(incoming)

    def _keep(self, previous: Generation, incoming: Generation, grace: float) -> None:
        """Have the previous generation accept no more, and end it after the ``grace``.

        ``incoming`` serves in its place.
        """
        self.kept = previous
        for child in self._of(previous):
            if child.phase in _SERVES:
                child.phase = Phase.KEPT
                self._children.tell(child, {"order": "pause"})
            else:  # it was to replace another one, and has no connections
                self._children.end(child, {"order": "stop"})
        _log.info(
            "generation %d is kept for %s, accepting no more connections",
            previous.number,
            seconds(grace),
        )
        self._timers.after(grace, lambda: self._end_grace(incoming))

    def _end_grace(self, serving: Generation) -> None:
        """End the generation that was kept in favour of ``serving``, unless it serves again.

        1. ``serving`` fails, and the generation that was kept serves again. 2. It is kept once
        more, for another generation. 3. The time of the first grace is over. It does not count.
        """
        kept = self.kept
        if kept is not None and self.present is serving and not self._ending:
            self.kept = None
            self._end_previous(kept, serving)

    def _can_fall_back(self) -> bool:
        return self.kept is not None and any(
            child.phase is Phase.KEPT for child in self._of(self.kept)
        )

    def _fall_back(self, failure: Message) -> None:
        """Have the generation that was kept serve again, since the present one has failed."""
        failed, kept = self.present, self.kept
        if failed is None or kept is None:
            return
        self.present, self.kept, self.watched = kept, None, self._watched_before
        for child in self._of(kept):
            child.phase = Phase.SERVING
            self._children.tell(child, {"order": "resume"})
        self._memory.watch(kept.chosen["max-rss"])
        common = {each.socket for each in kept.sockets}
        shared = [n for n, each in enumerate(failed.sockets) if each.socket in common]
        for child in self._of(failed):
            if child.phase in _SERVES:
                self._drain(child, failed, shared)
            else:
                self._children.end(child, {"order": "stop"})
        close_sockets(each for each in failed.sockets if each.socket not in common)
        self._outcome.rejected(failure)
        for child in self._of(kept):
            if child.overdue:
                self.retire(child, child.overdue)
        self._fill()

    def closed(self, child: Child) -> None:
        """Note that ``child``, which drains, has closed its listeners or ended."""
        if child in self._closing:
            self._closing.remove(child)
            if self._closing or self.present is None:
                return
            if self._ending:
                self._outcome.closed()
            else:
                self._outcome.reloaded(self.present)

    def change(self, name: str, value: Any) -> None:
        """Change a setting of the processes that start from now on, until the next reload."""
        for generation in (self.present, self.incoming):
            if generation is not None:
                generation.chosen = generation.chosen.changed(name, value)

    def _of(self, generation: Generation) -> list[Child]:
        return [
            child
            for child in self._children
            if child.generation == generation.number and child.phase is not Phase.ENDING
        ]

    def _serve(self, child: Child, chosen: Chosen) -> None:
        child.phase = Phase.SERVING
        child.served_since = time.monotonic()
        self._children.tell(child, {"order": "serve"})
        self._restarts.serves(lambda: child.phase in _SERVES)
        if chosen["max-lifetime"] is not None:
            self._timers.after(lifetime(chosen), lambda: self._outlived(child))

    def _outlived(self, child: Child) -> None:
        """Replace a process whose time is over."""
        self.due(child, "has reached --max-lifetime")

    def due(self, child: Child, why: str) -> None:
        """Replace ``child`` for the reason ``why``, unless that has begun already.

        A process that is kept is replaced when it serves again.
        """
        if child.phase is Phase.SERVING:
            self.retire(child, why)
        elif child.phase is Phase.KEPT:
            child.overdue = why

    def _drain(self, child: Child, generation: Generation, shared: Sequence[int]) -> None:
        """Tell a process to finish its requests and end.

        ``shared`` are the indexes of the sockets that other processes go on listening on: the
        process leaves the connections in their backlogs to these.
        """
        patience = generation.chosen["graceful-timeout"]
        order = {"order": "drain", "seconds": patience, "shared": list(shared)}
        self._children.end(child, order, patience)

    # -- the number of processes -------------------------------------------------------------------

    def resize(self, size: int) -> None:
        """Change the number of processes to ``size``, or to 1 if that is greater."""
        if self.present is not None:
            self.present.size = max(size, 1)
            self._fill()

    def grow(self, number: int) -> None:
        """Change the number of processes by ``number``, which may be negative."""
        if self.present is not None:
            self.resize(self.present.size + number)

    def _fill(self) -> None:
        """Start the processes that the present generation lacks, or drain surplus ones."""
        generation = self.present
        if generation is None or self._ending:
            return
        present = [child for child in self._of(generation) if child.phase in _COUNTED]
        for child in present[: max(len(present) - generation.size, 0)]:
            self._drain(child, generation, range(len(generation.sockets)))
        for _ in range(generation.size - len(present)):
            if not self._restarts.may_start():
                return
            failure = self._spawn(generation)
            if failure is not None:  # not the application's fault: later there may be memory again
                self.failed_starts += 1
                _log.error("cannot start a process, trying again: %s", failure["reason"])
                self._restarts.failed()
                return

    def _serving(self) -> list[Child]:
        """Return the processes of the present generation that serve and are not being replaced."""
        present = [] if self.present is None else self._of(self.present)
        return [child for child in present if child.phase is Phase.SERVING]

    def retire(self, child: Child, why: str) -> None:
        """Replace ``child``, which serves until its replacement is ready.

        ``why`` completes the sentence that begins with the name of the process.
        """
        _log.info("%s %s: replacing it", child, why)
        child.phase = Phase.RETIRING
        self._fill()

    def ready(self, child: Child, report: Message) -> None:
        """Note that ``child`` is ready, and let it serve if its generation does."""
        incoming = self.incoming
        if incoming is not None and child.generation == incoming.number:
            if all(each.phase is Phase.READY for each in self._of(incoming)):
                self._switch(incoming, report)
            return
        generation = self.present
        if generation is None or self._ending:
            return
        self._serve(child, generation.chosen)
        _log.info("%s serves", child)
        retiring = [each for each in self._of(generation) if each.phase is Phase.RETIRING]
        for each in retiring[:1]:
            self._drain(each, generation, range(len(generation.sockets)))

    def ended(self, child: Child, phase: Phase, code: int) -> None:
        """Note that ``child``, which was in ``phase``, has ended with this exit code."""
        if isinstance(child.task, Serve):
            self._connection_counts.give_back(child.task.slot)
            self._bus.gone(child)
            self.hooks.call(Moment.CHILD_EXIT, HookWorker(child.pid, child.generation))
        self.closed(child)
        if self._ending:
            return
        if phase is Phase.KEPT:
            _log.error("%s, which was kept, %s", child, describe_end(code))
        elif phase is not Phase.ENDING:
            self._ended_unexpectedly(child, phase, code)
        elif child.ready and code:
            _log.error("%s %s before it had finished its requests", child, describe_end(code))

    def _ended_unexpectedly(self, child: Child, phase: Phase, code: int) -> None:
        failure = child.failure or {"reason": f"{child} {describe_end(code)} before it was ready"}
        if phase not in _SERVES:
            self.failed_starts += 1
        if self.incoming is not None and child.generation == self.incoming.number:
            self._reject(failure)
        elif self._can_fall_back():
            if phase in _SERVES:
                lived = seconds(time.monotonic() - child.served_since)
                failure = {"reason": f"{child} {describe_end(code)} after {lived} of serving"}
            self._fall_back(failure)
        elif phase in _SERVES:
            self._died(child, code)
        else:
            self._boot_failed(failure)

    def _died(self, child: Child, code: int) -> None:
        """Replace a process of the present generation that has died while it served."""
        self.replaced += 1
        worth = self._restarts.died(child.served_since)
        if not worth and not self._any_serves():
            reason = f"no process serves for long any more; the last one, {child}, "
            self._outcome.failed({"reason": reason + describe_end(code)})
            return
        end, pause = describe_end(code), self._restarts.pause
        if pause:
            lived = seconds(time.monotonic() - child.served_since)
            message = "%s %s after %s of serving: replacing it in %.2g s"
            _log.error(message, child, end, lived, pause)
        else:
            _log.error("%s %s: replacing it", child, end)
        self._fill()

    def _any_serves(self) -> bool:
        return any(child.phase in _SERVES for child in self._children)

    def mend(self) -> None:
        """Do again what an error may have interrupted.

        1. A process ends, and `ended` raises an error after the process is out of `Children`.
        2. No other event will come from that process: a reload would wait for it for ever.

        Therefore the supervisor calls this after every round of its loop. Without such an error it
        changes nothing.
        """
        for child in self._closing - set(self._children):
            self.closed(child)
        if self._ending:
            return  # that processes have ended is no failure any more
        if self.incoming is not None and not self._of(self.incoming):
            self._reject({"reason": "its processes have ended"})
        self._fill()

    def _boot_failed(self, failure: Message) -> None:
        """Note that a replacement in the present generation could not start."""
        _log.error("cannot start a process: %s", failure["reason"])
        if not self._restarts.failed() and not self._any_serves():
            self._outcome.failed(failure)
        else:
            self._fill()

    # -- the end -----------------------------------------------------------------------------------

    def end(self, *, gracefully: bool, succeeded: bool = False) -> None:
        """End all worker processes; with ``succeeded``, a new supervisor has the sockets, too.

        1. The last worker closes its copy of a listening socket after it has emptied the backlog.
        2. A client connects. If the supervisor still had the socket open, the connection would
           enter a backlog that no process reads.

        Therefore the supervisor closes its copies first; then the client is refused at once.
        """
        self._ending = True
        close_sockets(self.sockets, keep_files=succeeded)
        generations = {each.number: each for each in (self.kept, self.present) if each is not None}
        for child in self._children:
            if not child.generation:
                continue
            if gracefully and child.phase is Phase.ENDING:
                continue  # the process drains already
            serving = generations.get(child.generation)
            if gracefully and serving is not None:
                self._closing.add(child)
                self._drain(child, serving, range(len(serving.sockets)) if succeeded else ())
            else:
                self._children.end(child, {"order": "stop"})
        if not self._closing:
            self._outcome.closed()

"""The process that starts, replaces and ends all others."""

from __future__ import annotations

import copy
import logging
import os
import selectors
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import click

from rocket_cli._balance import Balance
from rocket_cli._banner import banner
from rocket_cli._certificates import has_certificate
from rocket_cli._channel import Message
from rocket_cli._children import Child, Children, Phase, Task, describe_end
from rocket_cli._command import Chosen
from rocket_cli._errors import BootError
from rocket_cli._log import configure_log
from rocket_cli._questions import Questions, add_statistics
from rocket_cli._restarts import Restarts
from rocket_cli._signals import ENDING, Events
from rocket_cli._sockets import BoundSocket, close_sockets, open_sockets
from rocket_cli._timers import Timers
from rocket_cli._worker_process import Serve

_log = logging.getLogger("rocket_cli")

SIGNALS: Final = (
    *ENDING,
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
)
"""What the supervisor catches."""

_INTERRUPTED: Final = 1
_FAILED: Final = 2

_SERVES: Final = frozenset({Phase.SERVING, Phase.RETIRING})
_COUNTS: Final = frozenset({Phase.BOOTING, Phase.READY, Phase.SERVING})


class Ending(Enum):
    """How the supervisor ends."""

    NOT = "not"
    GENTLY = "gently"
    """What is in flight may finish."""
    AT_ONCE = "at once"


@dataclass(slots=True, eq=False)
class Generation:
    """The processes that serve one version of the application.

    Attributes:
        number: counted from 1.
        chosen: their settings.
        sockets: where they listen.
        size: how many there are to be.
    """

    number: int
    chosen: Chosen
    sockets: list[BoundSocket]
    size: int


class Supervisor:
    """Runs generations of workers, one after the other, and observers beside them.

    A new generation boots beside the old one, and serves once all of it is ready. It runs on one
    thread, so that it can fork at any time, and never imports the application.
    """

    def __init__(
        self, chosen: Chosen, events: Events, observers: Sequence[Callable[[], Task]] = ()
    ) -> None:
        """Start nothing yet. ``observers`` make tasks of processes that outlive generations."""
        self._chosen = chosen
        self._events = events
        self._observers = observers
        self._timers = Timers()
        self._selector = selectors.DefaultSelector()
        self._children = Children(
            self._selector, self._timers, said=self._said, ended=self._ended, leave=self._leave
        )
        self._questions = Questions(self._timers, self._children.tell)
        self._statistics: Message = {}
        self._balance = Balance()
        self._generation: Generation | None = None
        self._incoming: Generation | None = None
        self._closing: set[Child] = set()
        self._waiting: list[Callable[[Message], None]] = []
        self._reload_again = False
        self._restarts = Restarts(self._timers, self._fill)
        self._ending = Ending.NOT
        self._code: int | None = None
        self._failure: Message | None = None

    # -- life --------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until told to end; the exit code.

        Raises `BootError` when nothing can be started, and in a new process `Forked`.
        """
        self._selector.register(self._events, selectors.EVENT_READ, self._take_signals)
        self._begin(Generation(1, self._chosen, open_sockets(self._chosen), size_of(self._chosen)))
        while len(self._children) or self._ending is Ending.NOT:
            for key, _ in self._selector.select(self._timers.wait()):
                key.data()
            self._timers.run()
        self._close()
        if self._failure is not None:
            raise BootError(self._failure["reason"], self._failure.get("traceback", ""))
        if self._code is None:
            _log.info("stopped")
        return self._code or 0

    def _leave(self, task: Task) -> None:
        """In a new process: let go of what it must not hold."""
        self._selector.close()
        kept = {each.socket for each in task.sockets}
        for generation in self._generations():
            for each in generation.sockets:
                if each.socket not in kept:
                    each.socket.close()

    def _generations(self) -> list[Generation]:
        return [each for each in (self._generation, self._incoming) if each is not None]

    def _close(self) -> None:
        self._selector.close()
        for generation in self._generations():
            close_sockets(generation.sockets)

    # -- generations -------------------------------------------------------------------------------

    def _begin(self, generation: Generation) -> None:
        """Boot a generation beside the present one."""
        self._incoming = generation
        for _ in range(generation.size):
            try:
                self._spawn(generation)
            except OSError as error:
                self._reject({"reason": f"cannot start a process: {error.strerror}"})
                return

    def _spawn(self, generation: Generation) -> None:
        task = Serve(
            generation.chosen,
            generation.sockets,
            multiprocess=generation.size > 1,
            paths=self._paths(generation),
            place=self._balance.take(),
        )
        self._children.spawn(task, generation.number)

    def _paths(self, generation: Generation) -> list[str]:
        """What a new process must answer; where it is to replace others, the application, too."""
        chosen = generation.chosen
        paths = [] if chosen["health"] is None else [chosen["health"]]
        if self._generation is not None and generation is self._incoming:
            paths += chosen["reserved"]
        return paths

    def reload(self) -> None:
        """Read the settings anew, and have a new generation replace the present one."""
        present = self._generation
        if present is None or self._incoming is not None or self._closing:
            self._reload_again = self._ending is Ending.NOT
            return
        _log.info("reloading")
        try:
            chosen = present.chosen.again()
            sockets = open_sockets(chosen, present.sockets)
        except click.ClickException as error:
            self._rejected({"reason": error.format_message()})
            return
        size = present.size
        if size_of(chosen) != size_of(present.chosen):
            size = size_of(chosen)
        self._begin(Generation(present.number + 1, chosen, sockets, size))

    def _reject(self, failure: Message) -> None:
        """The generation that boots is given up, the previous one stays."""
        incoming = self._incoming
        if incoming is None:
            return
        self._incoming = None
        for child in self._of(incoming):
            self._children.end(child, {"order": "stop"})
        present = self._generation
        if present is None:
            self._give_up(failure)
            close_sockets(incoming.sockets)
        else:
            kept = {each.socket for each in present.sockets}
            close_sockets(each for each in incoming.sockets if each.socket not in kept)
            self._rejected(failure)

    def _rejected(self, failure: Message) -> None:
        _log.error("not reloaded, the previous generation stays: %s", failure["reason"])
        self._finish_reload({"error": failure["reason"]})

    def _finish_reload(self, result: Message) -> None:
        waiting, self._waiting = self._waiting, []
        for reply in waiting:
            reply(result)
        if self._reload_again:
            self._reload_again = False
            self.reload()

    def _switch(self, incoming: Generation, report: Message) -> None:
        """The new generation is ready: it serves, and the previous one drains."""
        present, self._generation, self._incoming = self._generation, incoming, None
        self._restarts.succeeded()
        for child in self._of(incoming):
            self._serve(child)
        if present is None:
            self._announce(incoming, report)
            for make in self._observers:
                self._children.spawn(make(), 0)
            self._finish_reload({})
            return
        kept = {each.socket for each in incoming.sockets}
        shared = [n for n, each in enumerate(present.sockets) if each.socket in kept]
        close_sockets(each for each in present.sockets if each.socket not in kept)
        for child in self._of(present):
            self._closing.add(child)
            self._drain(child, present, shared)
        configure_log(incoming.chosen["log-level"])

    def _closed(self, child: Child) -> None:
        """``child``, of the previous generation, accepts nobody any more, or has ended."""
        if child in self._closing:
            self._closing.remove(child)
            if not self._closing and self._generation is not None:
                number = self._generation.number
                _log.info("reloaded: generation %d serves", number)
                self._finish_reload({"generation": number})

    def _announce(self, generation: Generation, report: Message) -> None:
        chosen = generation.chosen
        certificate = has_certificate(chosen)
        locations = [each.location(certificate=certificate) for each in generation.sockets]
        if report["found"]:
            click.echo(report["found"], err=True)
        for line in banner(report["name"], generation.size, chosen["threads"], locations):
            click.echo(line, err=True)

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
        if self._generation is not None:
            self._generation.size = max(size, 1)
            self._fill()

    def _fill(self) -> None:
        """Start what is missing of the present generation, and end what is too much."""
        generation = self._generation
        if generation is None or self._ending is not Ending.NOT:
            return
        present = [child for child in self._of(generation) if child.phase in _COUNTS]
        for child in present[: max(len(present) - generation.size, 0)]:
            self._drain(child, generation, range(len(generation.sockets)))
        for _ in range(generation.size - len(present)):
            if not self._restarts.may_start():
                return
            try:
                self._spawn(generation)
            except OSError as error:
                self._boot_failed({"reason": f"cannot start a process: {error.strerror}"})
                return

    def _ready(self, child: Child, message: Message) -> None:
        child.phase = Phase.READY
        child.ready = True
        incoming = self._incoming
        if not child.generation:
            self._serve(child)
            return
        if incoming is not None and child.generation == incoming.number:
            if all(each.phase is Phase.READY for each in self._of(incoming)):
                self._switch(incoming, message)
            return
        generation = self._generation
        if generation is None or self._ending is not Ending.NOT:
            return
        self._restarts.succeeded()
        self._serve(child)
        retiring = [each for each in self._of(generation) if each.phase is Phase.RETIRING]
        for each in retiring[:1]:
            self._drain(each, generation, range(len(generation.sockets)))

    def _boot_failed(self, failure: Message) -> None:
        """A process that was to replace another could not begin."""
        _log.error("cannot start a process: %s", failure["reason"])
        serving = any(child.phase in _SERVES for child in self._children)
        if not self._restarts.failed() and not serving:
            self._give_up(failure)
        else:
            self._fill()

    def _give_up(self, failure: Message) -> None:
        self._failure = failure
        self._code = _FAILED
        self._end(Ending.AT_ONCE)

    # -- what processes say ------------------------------------------------------------------------

    def _said(self, child: Child, message: Message) -> None:
        match message:
            case {"event": "ready"} if child.phase is Phase.BOOTING:
                self._ready(child, message)
            case {"event": "failed"}:
                child.failure = message
            case {"event": "retire"} if child.phase is Phase.SERVING:
                _log.info("%s is replaced: %s", child, message["why"])
                child.phase = Phase.RETIRING
                self._fill()
            case {"event": "closed"}:
                self._closed(child)
            case {"event": "final"}:
                child.final = True
                self._questions.gone(child)
                add_statistics(self._statistics, message["statistics"])
            case {"answer": _}:
                self._questions.answered(child, message)
            case {"ask": _}:
                self._asked(child, message)

    def _ended(self, child: Child, code: int) -> None:
        self._questions.gone(child)
        if isinstance(child.task, Serve):
            self._balance.give_back(child.task.place)
        phase, child.phase = child.phase, Phase.ENDING
        self._closed(child)
        if self._ending is not Ending.NOT:
            self._end_observers()
            return
        if phase is Phase.ENDING:
            if child.ready and code:
                _log.error("%s %s before it had finished", child, describe_end(code))
            return
        failure = child.failure or {"reason": f"{child} {describe_end(code)} before it was ready"}
        incoming = self._incoming
        if not child.generation:
            _log.error("%s %s; it is started again", child, describe_end(code))
            self._restart_observer(child)
        elif incoming is not None and child.generation == incoming.number:
            self._reject(failure)
        elif phase in _SERVES:
            _log.error("%s %s; another takes its place", child, describe_end(code))
            self._restarts.died(child.since)
            self._fill()
        else:
            self._boot_failed(failure)

    def _restart_observer(self, child: Child) -> None:
        self._restarts.later(lambda: self._children.spawn(child.task, 0))

    # -- what processes ask ------------------------------------------------------------------------

    def _asked(self, child: Child, message: Message) -> None:
        name, arguments = message["ask"], message.get("arguments", {})
        ended = copy.deepcopy(self._statistics)

        def reply(answers: list[Message]) -> None:
            answer = {"id": message.get("id"), "answers": answers, "ended": ended}
            self._children.tell(child, answer)

        match name:
            case "processes":
                reply([self._processes()])
            case "reload":
                self._waiting.append(lambda result: reply([result]))
                self.reload()
            case "drain":
                reply([{}])
                self._end(Ending.GENTLY)
            case "resize":
                size = arguments.get("processes")
                if not isinstance(size, int) or size < 1:
                    reply([{"error": f"processes must be a number from 1 up, not {size!r}"}])
                    return
                self.resize(size)
                reply([{}])
            case _:
                asked = [each for each in self._children if each.answers]
                self._questions.ask(name, arguments, asked, reply)

    def _processes(self) -> Message:
        return {
            "supervisor": os.getpid(),
            "processes": [
                {
                    "process": each.pid,
                    "kind": each.task.name,
                    "generation": each.generation,
                    "phase": each.phase.value,
                    "since": each.since,
                }
                for each in self._children
            ],
        }

    # -- signals -----------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        for number in self._events.take():
            match number:
                case signal.SIGCHLD:
                    self._children.reap()
                case signal.SIGHUP:
                    self.reload()
                case signal.SIGUSR1:
                    self.reopen()
                case signal.SIGTTIN if self._generation is not None:
                    self.resize(self._generation.size + 1)
                case signal.SIGTTOU if self._generation is not None:
                    self.resize(self._generation.size - 1)
                case signal.SIGTERM if self._ending is Ending.NOT:
                    self._stop(number, Ending.GENTLY)
                case signal.SIGTERM | signal.SIGINT | signal.SIGQUIT:
                    self._stop(number, Ending.AT_ONCE)

    def _stop(self, number: signal.Signals, ending: Ending) -> None:
        if self._ending is Ending.AT_ONCE:
            for child in self._children:
                self._children.signal(child, signal.SIGKILL)
        elif self._generation is None:
            self._code = _INTERRUPTED if number is signal.SIGINT else 0
        elif ending is Ending.GENTLY:
            _log.info(
                "%s: requests in flight have %g seconds to finish; a second signal stops at once",
                number.name,
                self._generation.chosen["graceful-timeout"],
            )
        else:
            _log.info("%s: stopping at once", number.name)
        self._end(ending)

    def reopen(self) -> None:
        """Have every process reopen its logs."""
        for child in self._children:
            if child.phase is not Phase.BOOTING:
                self._children.tell(child, {"order": "reopen"})

    # -- the end -----------------------------------------------------------------------------------

    def _end(self, ending: Ending) -> None:
        """End all processes that serve, then the observers.

        The supervisor's own copies of the sockets are closed first, so that nobody is left in a
        backlog that no process looks at any more.
        """
        self._ending = ending
        for generation in self._generations():
            close_sockets(generation.sockets)
        for child in self._children:
            if not child.generation:
                continue
            if ending is Ending.AT_ONCE:
                self._children.end(child, {"order": "stop"})
            elif child.phase is not Phase.ENDING:
                present = self._generation
                if present is None or child.generation != present.number:
                    self._children.end(child, {"order": "stop"})
                else:
                    self._drain(child, present, ())
        self._end_observers()

    def _end_observers(self) -> None:
        """End them once nobody serves any more."""
        if any(child.generation for child in self._children):
            return
        for child in self._children:
            if child.phase is not Phase.ENDING:
                self._children.end(child, {"order": "stop"})


def size_of(chosen: Chosen) -> int:
    """How many processes are chosen."""
    size: int = chosen["processes"]
    return size or len(os.sched_getaffinity(0))

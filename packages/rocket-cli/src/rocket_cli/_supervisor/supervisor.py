"""The process that starts, replaces and ends all others."""

from __future__ import annotations

import logging
import os
import selectors
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Final, NoReturn

from rocket_cli._application.preload import preloaded
from rocket_cli._errors import BootError, CommandError
from rocket_cli._logging.server_log import announce, configure_log, reopen_log, set_log_level
from rocket_cli._processes.channel import Message
from rocket_cli._processes.signals import ENDING, Events
from rocket_cli._serving.certificates import has_certificate
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.identity import identity
from rocket_cli._settings.threads import parse_threads
from rocket_cli._sockets.bound_sockets import BoundSocket, close_sockets, open_sockets
from rocket_cli._sockets.systemd_sockets import activated_sockets
from rocket_cli._supervisor.children import Child, Children, Phase, Task, describe_end
from rocket_cli._supervisor.generation import Generation, size_of
from rocket_cli._supervisor.generations import Generations
from rocket_cli._supervisor.inquiries import Answer, Inquiries
from rocket_cli._supervisor.pid_file import PidFile
from rocket_cli._supervisor.succession import Successor, take_legacy
from rocket_cli._supervisor.survival import failure_of, survived
from rocket_cli._supervisor.systemd_notify import Notifier
from rocket_cli._supervisor.timers import Timers
from rocket_cli._supervisor.working_directory import WorkingDirectory
from rocket_cli._terminal.banner import banner
from rocket_cli._terminal.browser import open_browser

_log = logging.getLogger("rocket_cli")

SIGNALS: Final = (
    *ENDING,
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""What the supervisor catches."""

_INTERRUPTED: Final = 1
_FAILED: Final = 2

_OBSERVER_PAUSE: Final = 1.0
"""Seconds until an observer that has ended is started again."""


Observers = Callable[[Chosen, Sequence[BoundSocket]], list[Task]]


def _code_at(number: signal.Signals) -> int:
    """The exit code after a signal that has ended the command before anything was served."""
    return _INTERRUPTED if number is signal.SIGINT else 0


class Ending(Enum):
    """How the supervisor ends."""

    NOT = "not"
    GENTLY = "gently"
    """What is in flight may finish."""
    AT_ONCE = "at once"


class Supervisor:
    """Runs generations of workers, one after the other, and observers beside them.

    A new generation boots beside the old one, and serves once all of it is ready. It runs on one
    thread, so that it can fork at any time, and imports the application only if it is preloaded.
    """

    def __init__(self, chosen: Chosen, events: Events, observe: Observers) -> None:
        """Start nothing yet.

        ``observe`` makes the tasks of processes that outlive generations, for settings and with
        what it finds among sockets that a predecessor has left. It may raise `CommandError`.
        """
        self._chosen = chosen
        self._legacy = take_legacy()
        self._environment = dict(os.environ)
        self._notifier = Notifier()
        self._surroundings = WorkingDirectory()
        self._pid_file: PidFile | None = None
        self._given = False
        self._successor: Child | None = None
        self._succeeded: int | None = None
        self._events = events
        self._observe = observe
        self._observers: list[Task] = []
        self._timers = Timers()
        self._selector = selectors.DefaultSelector()
        self._children = Children(
            self._selector, self._timers, said=self._said, ended=self._ended, leave=self._leave
        )
        self._inquiries = Inquiries(
            self._children,
            self._timers,
            {
                "processes": self._tell_processes,
                "reload": self._reload_and_tell,
                "drain": self._drain_and_tell,
                "resize-processes": self._resize_and_tell,
            },
            self._note,
        )
        self._workers = Generations(self._children, self._timers, self._surroundings, self)
        self._waiting: list[Answer] = []
        self._reload_again = False
        self._ending = Ending.NOT
        self._code: int | None = None
        self._failure: Message | None = None

    # -- life --------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until told to end; the exit code.

        Raises `BootError` when nothing can be started, and in a new process `Forked`.
        """
        self._selector.register(self._events, selectors.EVENT_READ, self._take_signals)
        try:
            self._start()
        except CommandError as error:
            if self._legacy is not None:
                self._legacy.decline(error.message)
            close_sockets(self._observed, keep_files=self._legacy is not None)
            raise
        while len(self._children) or self._ending is Ending.NOT:
            for key, _ in self._selector.select(self._timers.wait()):
                with survived("dealing with a signal or a message"):
                    key.data()
            for call in self._timers.due():
                with survived("doing what was put off"):
                    call()
            with survived("looking for processes that are missing"):
                self._require_progress()
        self._close()
        if self._failure is not None:
            raise BootError(self._failure["reason"], self._failure.get("traceback", ""))
        if self._code is None:
            _log.info("stopped")
        return self._code or 0

    def _require_progress(self) -> None:
        """After an error of its own: go on, or end where there is nothing that could serve."""
        self._workers.mend()
        if self._ending is not Ending.NOT or self._workers.present is not None:
            return
        if not any(child.generation for child in self._children):
            self.failed({"reason": "the server cannot start: see the error above"})

    def _start(self) -> None:
        chosen = self._chosen
        self._surroundings.enter(chosen)
        configure_log(chosen)
        if chosen["pid"] is not None:
            self._pid_file = PidFile(chosen["pid"], chosen.origin("pid"), identity(chosen))
            if self._legacy is None:
                self._pid_file.write()
        left = [] if self._legacy is None else self._legacy.observed
        self._observers = self._observe(chosen, left)
        sockets = self._first_sockets()
        site = None
        if chosen["preload"]:
            leave = self._events.obeyed(lambda number: self._abandon(number, sockets))
            site = preloaded(chosen, leave)
        self._workers.begin(chosen, sockets, size_of(chosen), site)
        if self._notifier.watchdog is not None:
            self._beat(self._notifier.watchdog)

    def _abandon(self, number: signal.Signals, sockets: list[BoundSocket]) -> NoReturn:
        """End at once, while the application is imported, and leave nothing behind."""
        if self._legacy is not None:
            self._legacy.decline(f"{number.name} has ended it")
        close_sockets([*sockets, *self._observed], keep_files=self._legacy is not None)
        if self._pid_file is not None:
            self._pid_file.remove()
        os._exit(_code_at(number))

    def _first_sockets(self) -> list[BoundSocket]:
        if self._legacy is not None:
            present, self._given = self._legacy.sockets, self._legacy.given
        else:
            activated = activated_sockets()
            present, self._given = activated or [], activated is not None
        return present if self._given else open_sockets(self._chosen, present)

    def _beat(self, seconds: float) -> None:
        self._timers.after(seconds, lambda: self._beat(seconds))
        self._notifier.send(WATCHDOG=1)

    def _leave(self, task: Task) -> None:
        """In a new process: let go of what it must not hold."""
        self._selector.close()
        if self._legacy is not None:
            self._legacy.channel.close()  # the predecessor hears this supervisor alone
        kept = {each.socket for each in task.sockets}
        for each in (*self._workers.sockets, *self._observed):
            if each.socket not in kept:
                each.socket.close()

    @property
    def _observed(self) -> list[BoundSocket]:
        """The sockets of the observers."""
        return [each for task in self._observers for each in task.sockets]

    def _close(self) -> None:
        self._selector.close()
        sockets = [*self._workers.sockets, *self._observed]
        close_sockets(sockets, keep_files=self._succeeded is not None)
        if self._pid_file is not None:
            self._pid_file.remove()

    # -- generations -------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the settings anew, and have a new generation replace the present one."""
        present = self._workers.present
        if self._ending is not Ending.NOT:
            return
        if present is None or not self._is_settled():
            self._reload_again = True
            return
        if present.chosen["preload"]:
            self.upgrade()  # what is imported here stays imported
            return
        _log.info("reloading")
        self._notifier.reloading()
        try:
            chosen = self._choose_again(present.chosen)
            sockets = present.sockets if self._given else open_sockets(chosen, present.sockets)
        except Exception as error:  # noqa: BLE001 - what serves goes on, whatever it is
            self.rejected(failure_of("the settings cannot be read anew", error))
            return
        size = present.size
        if size_of(chosen) != size_of(present.chosen):
            size = size_of(chosen)
        self._workers.begin(chosen, sockets, size)

    def _choose_again(self, present: Chosen) -> Chosen:
        """Read the settings, and go where they say. Raises `click.ClickException`."""
        self._surroundings.leave(present)
        chosen = present.again()
        if chosen.depends_on_directory:
            self._surroundings.leave(chosen)  # which must be there, if it was not so far
        self._surroundings.enter(chosen)
        return chosen

    # -- what becomes of it ------------------------------------------------------------------------

    def served(self, generation: Generation, report: Message) -> None:
        """The first generation serves."""
        with survived("announcing the server"):
            self._announce(generation, report)
        self._notify_ready(generation)
        if self._legacy is not None:
            sockets = None if self._given else generation.sockets
            self._legacy.succeed(sockets, self._observed, self._pid_file)
        for task in self._observers:
            self._start_observer(task)
        self._finish_reload({})

    def reloaded(self, generation: Generation) -> None:
        """Another generation serves."""
        for child in self._children:
            self._have_watched(child)
        try:
            configure_log(generation.chosen)
        except CommandError as error:
            _log.error("the supervisor goes on with the log that it has: %s", error.message)
        reopen_log()
        _log.info("reloaded: generation %d serves", generation.number)
        self._notify_ready(generation)
        self._finish_reload({"generation": generation.number})

    def rejected(self, failure: Message) -> None:
        """Another generation could not begin."""
        _log.error("not reloaded, the previous generation stays: %s", failure["reason"])
        if failure.get("traceback"):
            _log.debug("%s", failure["traceback"])
        if self._workers.present is not None:
            try:
                self._surroundings.enter(self._workers.present.chosen)
            except CommandError as error:
                _log.error("processes may fail to begin until it is mended: %s", error.message)
        self._notifier.send(READY=1, STATUS=f"not reloaded: {failure['reason']}")
        self._finish_reload({"error": failure["reason"]})

    def _finish_reload(self, result: Message) -> None:
        waiting, self._waiting = self._waiting, []
        for reply in waiting:
            reply(result)
        if self._reload_again:
            self._reload_again = False
            self.reload()

    def closed(self) -> None:
        """Nobody is accepted by this supervisor's processes any more."""
        if self._succeeded is not None:
            _log.info("process %d takes over", self._succeeded)

    def _is_settled(self) -> bool:
        """Whether no other generation or supervisor is about to take over."""
        return self._workers.settled and self._successor is None

    def _notify_ready(self, generation: Generation) -> None:
        status = f"generation {generation.number} serves, processes: {generation.size}"
        self._notifier.send(READY=1, STATUS=status)

    def _announce(self, generation: Generation, report: Message) -> None:
        chosen = generation.chosen
        certificate = has_certificate(chosen)
        locations = [each.location(certificate=certificate) for each in generation.sockets]
        if report["found"]:
            announce(chosen, [report["found"]])
        announce(chosen, banner(report["name"], generation.size, chosen["threads"], locations))
        if chosen["open"]:
            open_browser(locations)

    # -- another supervisor ------------------------------------------------------------------------

    def upgrade(self) -> None:
        """Run the command anew, which takes the sockets over and, once it serves, replaces this."""
        present = self._workers.present
        if self._ending is not Ending.NOT:
            return
        if present is None or not self._is_settled():
            _log.warning("no new supervisor is started: a reload is under way")
            return
        if os.getpid() == 1:
            self._not_upgraded("process 1 cannot be replaced: start another container")
            return
        _log.info("starting a new supervisor")
        self._notifier.reloading()
        try:
            task = Successor(
                present.sockets,
                self._observed,
                self._given,
                self._environment,
                self._surroundings,
                present.chosen,
            )
            self._successor = self._children.spawn(task, 0)
        except Exception as error:  # noqa: BLE001 - this supervisor goes on, whatever it is
            self._not_upgraded(failure_of("fork failed", error)["reason"])

    def _not_upgraded(self, reason: str) -> None:
        _log.error("no new supervisor, this one stays: %s", reason)
        self._notifier.send(READY=1, STATUS=f"no new supervisor: {reason}")
        self._finish_reload({"error": reason})

    def _hand_over(self, successor: Child) -> None:
        """The new supervisor serves, and this one ends."""
        self._notifier.send(MAINPID=successor.pid, READY=1)
        self._children.release(successor)
        self._successor = None
        self._succeeded = successor.pid
        if self._reload_again:
            self._reload_again = False
            with suppress(OSError):  # it may have ended meanwhile
                os.kill(successor.pid, signal.SIGHUP)
        self._finish_reload({"supervisor": successor.pid})
        self._end(Ending.GENTLY)
        for child in self._children:
            if not child.generation and child.phase is not Phase.ENDING:
                self._children.end(child, {"order": "stop"})  # the successor's answer instead

    def failed(self, failure: Message) -> None:
        """Nothing serves, and nothing can be started."""
        if self._legacy is not None:
            self._legacy.decline(failure["reason"])
        self._failure = failure
        self._code = _FAILED
        self._end(Ending.AT_ONCE)

    def _ready(self, child: Child, message: Message) -> None:
        child.phase = Phase.READY
        child.ready = True
        if child.generation:
            self._workers.ready(child, message)
        elif child is self._successor:
            self._hand_over(child)
        else:
            child.phase = Phase.SERVING
            self._have_watched(child)

    def _have_watched(self, child: Child) -> None:
        """Tell an observer where the code of the present generation is."""
        if self._workers.watched is not None and not child.generation and child.ready:
            self._children.tell(child, {"order": "watch", **self._workers.watched})

    # -- what processes say ------------------------------------------------------------------------

    def _said(self, child: Child, message: Message) -> None:
        match message:
            case {"event": "ready"} if child.phase is Phase.BOOTING:
                self._ready(child, message)
            case {"event": "failed"}:
                child.failure = message
            case {"event": "retire"} if child.phase is Phase.SERVING:
                self._workers.retire(child, message["why"])
            case {"event": "closed"}:
                self._workers.closed(child)
            case {"event": "final"}:
                self._inquiries.final(child, message["statistics"])
            case {"answer": _}:
                self._inquiries.answered(child, message)
            case {"ask": _}:
                self._inquiries.asked(child, message)

    def _ended(self, child: Child, code: int) -> None:
        self._inquiries.gone(child)
        phase, child.phase = child.phase, Phase.ENDING
        if child.generation:
            self._workers.ended(child, phase, code)
        if self._ending is not Ending.NOT:
            self._end_observers()
        elif child is self._successor:
            self._successor = None
            failure = child.failure or {"reason": f"{child} {describe_end(code)}"}
            self._not_upgraded(failure["reason"])
        elif not child.generation:
            _log.error("%s %s; it is started again", child, describe_end(code))
            self._timers.after(_OBSERVER_PAUSE, lambda: self._start_observer(child.task))

    def _start_observer(self, task: Task) -> None:
        if self._ending is not Ending.NOT:
            return
        try:
            self._children.spawn(task, 0)
        except OSError as error:
            _log.error("cannot start the %s: %s; it is tried again", task.name, error.strerror)
            self._timers.after(_OBSERVER_PAUSE, lambda: self._start_observer(task))

    # -- what processes ask ------------------------------------------------------------------------

    def _tell_processes(self, arguments: Message, answer: Answer) -> None:
        del arguments
        answer(
            {
                "supervisor": os.getpid(),
                "restarts": self._workers.replaced,
                "processes": self._children.describe(),
            }
        )

    def _reload_and_tell(self, arguments: Message, answer: Answer) -> None:
        del arguments
        self._waiting.append(answer)
        self.reload()

    def _drain_and_tell(self, arguments: Message, answer: Answer) -> None:
        del arguments
        answer({})
        self._end(Ending.GENTLY)

    def _resize_and_tell(self, arguments: Message, answer: Answer) -> None:
        self._workers.resize(arguments["processes"])
        answer({})

    def _note(self, name: str, arguments: Message) -> None:
        """Have processes that begin later do as those that there are are told now."""
        if name == "log-level":
            set_log_level(arguments["level"])
            self._workers.change("log-level", arguments["level"])
        elif name == "resize-threads":
            self._workers.change("threads", parse_threads(arguments["threads"]))

    # -- signals -----------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        for number in self._events.take():
            with survived(f"dealing with {number.name}"):
                self._obey(number)

    def _obey(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGCHLD:
                self._children.reap()
            case signal.SIGHUP:
                self.reload()
            case signal.SIGUSR1:
                self.reopen()
            case signal.SIGUSR2:
                self.upgrade()
            case signal.SIGTTIN if self._workers.present is not None:
                self._workers.resize(self._workers.present.size + 1)
            case signal.SIGTTOU if self._workers.present is not None:
                self._workers.resize(self._workers.present.size - 1)
            case signal.SIGTERM if self._ending is Ending.NOT:
                self._stop(number, Ending.GENTLY)
            case signal.SIGTERM | signal.SIGINT | signal.SIGQUIT:
                self._stop(number, Ending.AT_ONCE)

    def _stop(self, number: signal.Signals, ending: Ending) -> None:
        if self._ending is Ending.AT_ONCE:
            for child in self._children:
                self._children.signal(child, signal.SIGKILL)
        elif self._workers.present is None:
            self._code = _code_at(number)
        elif ending is Ending.GENTLY:
            _log.info(
                "%s: requests in flight have %g seconds to finish; a second signal stops at once",
                number.name,
                self._workers.present.chosen["graceful-timeout"],
            )
        else:
            _log.info("%s: stopping at once", number.name)
        self._end(ending)

    def reopen(self) -> None:
        """Have every process reopen its logs."""
        reopen_log()
        for child in self._children:
            if child.phase is not Phase.BOOTING:
                self._children.tell(child, {"order": "reopen"})

    # -- the end -----------------------------------------------------------------------------------

    def _end(self, ending: Ending) -> None:
        """End all processes that serve, then the observers."""
        self._ending = ending
        if self._succeeded is None:
            self._notifier.send(STOPPING=1, STATUS="stopping")
        if self._successor is not None and self._successor.phase is not Phase.ENDING:
            self._children.end(self._successor, {"order": "stop"})  # it is to serve no more
        self._workers.end(gently=ending is Ending.GENTLY, succeeded=self._succeeded is not None)
        self._end_observers()

    def _end_observers(self) -> None:
        """End them once nobody serves any more."""
        if any(child.generation for child in self._children):
            return
        for child in self._children:
            if child.phase is not Phase.ENDING:
                self._children.end(child, {"order": "stop"})

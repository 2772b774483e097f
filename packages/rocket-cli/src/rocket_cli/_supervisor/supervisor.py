"""The process that starts, replaces and ends all others.

Theory of operation. The supervisor runs one thread and one loop: it waits for signals, for messages
of its processes and for timers, and handles them one after the other. It never waits for anything
else. As it has one thread, it can fork at any time, and nothing here needs a lock.

What happens where:

- `Children` forks processes, exchanges messages with them, and reaps them.
- `Generations` decides which worker processes there are.
- `ObserverProcesses` keeps the processes beside them running.
- `Replacement` carries out reloads and upgrades.
- `Shutdown` ends everything, in stages.
- `MessageBus` passes messages of shared groups between worker processes.
- `Inquiries` passes questions between processes; `AdminHandlers` answers those of the supervisor.
- `SignalOrders` turns signals into calls of these.

The supervisor must outlive its own errors: a server that runs goes on. Therefore each event is
handled within `log_errors`, and `_require_progress` then finds what an error has left undone.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

from rocket_cli._application.hooks import Moment, load_hooks
from rocket_cli._application.preload import preloaded
from rocket_cli._errors import BootError, CommandError
from rocket_cli._logging.server_log import STANDARD, announce, configure_log, reopen_log
from rocket_cli._processes.channel import Message
from rocket_cli._processes.signals import Events
from rocket_cli._processes.task import Task
from rocket_cli._processes.titles import SUPERVISOR, set_title
from rocket_cli._serving.certificates import has_certificate
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.env_file import outer_environment
from rocket_cli._settings.environment import near_misses
from rocket_cli._settings.identity import identity
from rocket_cli._sockets.bound_sockets import BoundSocket, are_loopback, close_sockets
from rocket_cli._supervisor.admin_handlers import AdminHandlers
from rocket_cli._supervisor.child import Child, Phase
from rocket_cli._supervisor.children import Children
from rocket_cli._supervisor.error_handling import log_errors
from rocket_cli._supervisor.generation import Generation, size_of
from rocket_cli._supervisor.generations import Generations
from rocket_cli._supervisor.inquiries import Inquiries
from rocket_cli._supervisor.message_bus import MessageBus
from rocket_cli._supervisor.observer_processes import ObserverProcesses
from rocket_cli._supervisor.pid_file import PidFile
from rocket_cli._supervisor.replacement import Replacement
from rocket_cli._supervisor.shutdown import Shutdown, exit_code_after
from rocket_cli._supervisor.signal_orders import SignalOrders
from rocket_cli._supervisor.succession import take_inheritance
from rocket_cli._supervisor.systemd_notify import Notifier
from rocket_cli._supervisor.timers import Timers
from rocket_cli._supervisor.working_directory import WorkingDirectory
from rocket_cli._terminal.banner import banner, start_event
from rocket_cli._terminal.browser import open_browser

_log = logging.getLogger("rocket_cli")

Observers = Callable[[Chosen, Sequence[BoundSocket]], list[Task]]
"""Makes the tasks of the observers, given the settings and the sockets of a predecessor."""


class Supervisor:
    """Runs generations of worker processes, one after the other, and observers beside them."""

    def __init__(self, chosen: Chosen, events: Events, observe: Observers) -> None:
        """Start no process yet.

        ``observe`` makes the tasks of the processes that outlive generations. Its second argument
        are the sockets that a predecessor has left for them. It may raise `CommandError`.
        """
        self._chosen = chosen
        self._events = events
        self._observe = observe
        # The order matters: a successor must not get the variable that `take_inheritance` removes,
        # and needs the variables that `Notifier` removes.
        self._inherited = take_inheritance()
        environment = outer_environment()
        self._notifier = Notifier()
        self._working_directory = WorkingDirectory()
        self._pid_file: PidFile | None = None
        self._timers = Timers()
        self._selector = selectors.DefaultSelector()
        self._children = Children(
            self._selector, self._timers, said=self._said, ended=self._ended, leave=self._leave
        )
        self._observers = ObserverProcesses(self._children, self._timers)
        self._bus = MessageBus(self._selector, self._children.reject)
        self._generations = Generations(
            self._children, self._timers, self._working_directory, self._bus, self
        )
        self._shutdown = Shutdown(
            self._children, self._generations, self._observers, self._notifier
        )
        self._replacement = Replacement(
            children=self._children,
            generations=self._generations,
            observers=self._observers,
            shutdown=self._shutdown,
            notifier=self._notifier,
            working_directory=self._working_directory,
            environment=environment,
        )
        admin = AdminHandlers(self._children, self._generations, self._replacement, self._shutdown)
        self._inquiries = Inquiries(self._children, self._timers, admin.by_name, admin.note)
        self._orders = SignalOrders(
            events,
            {
                signal.SIGCHLD: self._children.reap,
                signal.SIGHUP: self._replacement.reload,
                signal.SIGUSR1: self._reopen,
                signal.SIGUSR2: self._replacement.upgrade,
                signal.SIGTTIN: lambda: self._generations.grow(1),
                signal.SIGTTOU: lambda: self._generations.grow(-1),
                signal.SIGTERM: self._shutdown.terminate,
                signal.SIGINT: self._shutdown.interrupt,
                signal.SIGQUIT: self._shutdown.quit,
            },
        )

    # -- the loop ----------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until told to end, and return the exit code.

        Raises `BootError` if nothing can be started, and in each new process `Forked`.
        """
        self._selector.register(self._events, selectors.EVENT_READ, self._orders.obey)
        try:
            self._start()
        except CommandError as error:
            if self._inherited is not None:
                self._inherited.decline(error.message)
            close_sockets(self._observers.sockets, keep_files=self._inherited is not None)
            raise
        while len(self._children) or not self._shutdown.begun:
            for key, _ in self._selector.select(self._timers.wait()):
                with log_errors("handling a signal or a message"):
                    key.data()
            for call in self._timers.due():
                with log_errors("handling a timer"):
                    call()
            with log_errors("looking for missing processes"):
                self._require_progress()
        self._generations.hooks.call(Moment.ON_EXIT)
        self._close()
        failure = self._shutdown.failure
        if failure is not None:
            raise BootError(failure["reason"], failure.get("traceback", ""))
        if self._shutdown.code is None:
            _log.info("stopped")
        return self._shutdown.code or 0

    def _require_progress(self) -> None:
        """Continue what an error has interrupted, or end if there is nothing that could serve."""
        self._generations.mend()
        if self._shutdown.begun or self._generations.present is not None:
            return
        if not any(child.generation for child in self._children):
            self.failed({"reason": "the server cannot start: see the error above"})

    def _start(self) -> None:
        chosen = self._chosen
        self._working_directory.enter(chosen)
        configure_log(chosen)
        set_title(SUPERVISOR, chosen)
        for sentence in near_misses(os.environ):
            _log.warning("%s", sentence)
        if chosen["pid"] is not None:
            self._pid_file = PidFile(chosen["pid"], chosen.origin("pid"), identity(chosen))
            if self._inherited is None:
                self._pid_file.write()
        left = [] if self._inherited is None else self._inherited.observed
        self._observers.take(self._observe(chosen, left))
        hooks = self._generations.hooks = load_hooks(chosen["hooks"], chosen.by_name())
        hooks.require(Moment.ON_STARTING)
        sockets = self._replacement.first_sockets(chosen, self._inherited)
        site = None
        if chosen["preload"]:
            leave = self._events.obeyed(lambda number: self._abandon(number, sockets))
            site = preloaded(chosen, leave, welcomes=are_loopback(sockets))
        self._generations.begin(chosen, sockets, size_of(chosen), site)
        if self._notifier.watchdog is not None:
            self._beat(self._notifier.watchdog)

    def _abandon(self, number: signal.Signals, sockets: list[BoundSocket]) -> NoReturn:
        """End at once, while the application is imported, and leave nothing behind.

        This runs on the thread that `Events.obeyed` has started, and ends the process.
        """
        if self._inherited is not None:
            self._inherited.decline(f"{number.name} has ended it")
        close_sockets([*sockets, *self._observers.sockets], keep_files=self._inherited is not None)
        if self._pid_file is not None:
            self._pid_file.remove()
        os._exit(exit_code_after(number))

    def _beat(self, seconds: float) -> None:
        """Send systemd a sign of life now, and every so many seconds."""
        self._timers.after(seconds, lambda: self._beat(seconds))
        self._notifier.send(WATCHDOG=1)

    def _leave(self, task: Task) -> None:
        """Close, in a new process, what only the supervisor may hold."""
        self._selector.close()
        self._bus.leave()
        if self._inherited is not None:
            # The predecessor listens on it for this supervisor only.
            self._inherited.channel.close()
        kept = {each.socket for each in task.sockets}
        for each in (*self._generations.sockets, *self._observers.sockets):
            if each.socket not in kept:
                each.socket.close()

    def _close(self) -> None:
        self._selector.close()
        sockets = [*self._generations.sockets, *self._observers.sockets]
        close_sockets(sockets, keep_files=self._shutdown.successor is not None)
        if self._pid_file is not None:
            self._pid_file.remove()

    def _reopen(self) -> None:
        """Reopen the logs, here and in every process."""
        reopen_log()
        for child in self._children:
            if child.phase is not Phase.BOOTING:
                self._children.tell(child, {"order": "reopen"})

    # -- what generations report (`Outcome`) -------------------------------------------------------

    def served(self, generation: Generation, report: Message) -> None:
        """Announce that the first generation serves, and start the observers."""
        with log_errors("announcing the server"):
            self._announce(generation, report)
        self._generations.hooks.call(Moment.WHEN_READY)
        self._replacement.notify_ready(generation)
        if self._inherited is not None:
            sockets = None if self._replacement.given else generation.sockets
            self._inherited.succeed(sockets, self._observers.sockets, self._pid_file)
        self._observers.watch(self._generations.watched)
        self._observers.start()
        self._replacement.finish_start()

    def _announce(self, generation: Generation, report: Message) -> None:
        chosen = generation.chosen
        certificate = has_certificate(chosen)
        locations = [each.location(certificate=certificate) for each in generation.sockets]
        set_title(SUPERVISOR, chosen, report["name"])
        if report["found"]:
            announce(chosen, [report["found"]])
        started = report["name"], generation.size, chosen["threads"], locations
        announce(chosen, banner(*started))
        if chosen["error-log"] != STANDARD:  # where these lines are
            _log.info("%s", start_event(*started))
        if chosen["open"]:
            open_browser(locations)

    def reloaded(self, generation: Generation) -> None:
        """Report that another generation serves, and have its code watched."""
        self._observers.watch(self._generations.watched)
        self._replacement.reloaded(generation)

    def rejected(self, failure: Message) -> None:
        """Report that a reload has failed."""
        self._replacement.rejected(failure)

    def failed(self, failure: Message) -> None:
        """End, because no process serves and none can be started."""
        if self._inherited is not None:
            self._inherited.decline(failure["reason"])
        self._shutdown.fail(failure)

    def closed(self) -> None:
        """Note that no process of this supervisor accepts connections any more."""
        if self._shutdown.successor is not None:
            _log.info("process %d takes over", self._shutdown.successor)

    # -- what processes report ---------------------------------------------------------------------

    def _said(self, child: Child, message: Message) -> None:
        match message:
            case {"event": "ready"} if child.phase is Phase.BOOTING:
                self._ready(child, message)
            case {"event": "failed"}:
                child.failure = message
            case {"event": "retire"}:
                self._generations.due(child, message["why"])
            case {"event": "closed"}:
                self._generations.closed(child)
            case {"event": "final"}:
                self._inquiries.final(child, message["statistics"])
            case {"answer": _}:
                self._inquiries.answered(child, message)
            case {"ask": _}:
                self._inquiries.asked(child, message)

    def _ready(self, child: Child, message: Message) -> None:
        child.phase = Phase.READY
        child.ready = True
        if child.generation:
            self._generations.ready(child, message)
        elif self._replacement.is_successor(child):
            self._replacement.hand_over(child)
        else:
            self._observers.ready(child)

    def _ended(self, child: Child, code: int) -> None:
        self._inquiries.gone(child)
        phase, child.phase = child.phase, Phase.ENDING
        if child.generation:
            self._generations.ended(child, phase, code)
        if self._shutdown.begun:
            self._observers.end()
        elif self._replacement.is_successor(child):
            self._replacement.successor_ended(child, code)
        elif not child.generation:
            self._observers.ended(child, code)

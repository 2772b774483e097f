"""The worker process, which serves the application.

Theory of operation. The process has three kinds of threads besides those of the server. The *main
thread* loads the application, starts the server without accepting clients, and then waits for
signals and for the end of the server (`wait_for_end`). The *control thread* (`Control`) carries out
the orders of the supervisor, from the moment when the process reports that it is ready. The thread
of `ExitDeadline` ends the process if the application delays its exit.

Orders and signals may arrive in any combination, and ask for the same thing:

1. The supervisor orders a drain. The control thread waits in it until the listeners are closed.
2. SIGTERM arrives. The main thread drains, too, with the same or an earlier deadline.
3. The server has ended. The main thread sends the last counters, and exits.

`Server.drain` and `Server.stop` may be called by any thread and more than once, and `ExitDeadline`
takes the earliest deadline. So no order has to know of another.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING

from rocket_cli._admin.inspector import Inspector
from rocket_cli._application.hooks import Hooks, HookWorker, Moment
from rocket_cli._application.request_count import counted
from rocket_cli._application.site import Site, find_site
from rocket_cli._errors import CommandError
from rocket_cli._logging.server_log import STANDARD, configure_log, reopen_log
from rocket_cli._logging.uncaught_exceptions import log_uncaught_exceptions
from rocket_cli._processes.channel import Channel, Message
from rocket_cli._processes.code_watcher import code_directories
from rocket_cli._processes.control import Control
from rocket_cli._processes.exit_deadline import ExitDeadline
from rocket_cli._processes.process_bus import ProcessBus
from rocket_cli._processes.signals import Events, caught_signals, wait_for_end
from rocket_cli._processes.titles import set_title
from rocket_cli._serving.access_log import open_access_log
from rocket_cli._serving.certificates import make_acme
from rocket_cli._serving.listeners import make_listeners
from rocket_cli._serving.server import make_server
from rocket_cli._serving.spool import spool_doubt
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.env_file import enter
from rocket_cli._settings.identity import assume_identity
from rocket_cli._sockets.balance import Slot
from rocket_cli._sockets.bound_sockets import BoundSocket, are_loopback
from rocket_core import Listener, Server
from rocket_wsgi import AccessLog
from rocket_wsgi.extending import connect_shared_groups

if TYPE_CHECKING:
    from rocket_tls import ACME

_log = logging.getLogger("rocket_cli")

REFUSED = 2
"""The exit code of a process that could not start."""


@dataclass(frozen=True, slots=True)
class Serve:
    """The task of a worker process.

    Attributes:
        chosen: the settings.
        sockets: the sockets that it listens on.
        multiprocess: whether other processes serve the same application.
        paths: the paths that it must answer before it is ready.
        slot: the slot in which it publishes the number of its connections to other processes.
        bus: the socket for the messages of shared groups.
        hooks: the functions to be called at certain moments.
        site: the application, if the supervisor has loaded it (``--preload``).
        name: the kind of the process.
    """

    chosen: Chosen
    sockets: Sequence[BoundSocket]
    multiprocess: bool
    paths: Sequence[str]
    slot: Slot
    bus: socket.socket
    hooks: Hooks
    site: Site | None = None
    name: str = "worker"

    def run(self, channel: Channel) -> int:
        """Serve until told to end, and return the exit code."""
        try:
            running = self._boot(channel)
        except KeyboardInterrupt:
            return 0  # Ctrl+C has reached the supervisor, too
        except CommandError as error:
            _report_failure(channel, error.message, error.__cause__ or error)
            return REFUSED
        except Exception as error:  # noqa: BLE001 - the supervisor logs it
            _report_failure(channel, f"the server cannot start: {error}", error)
            return REFUSED
        return running.serve(channel)

    def _boot(self, channel: Channel) -> _Booted:
        chosen = self.chosen
        role = self.name if self.slot.index is None else f"{self.name} {self.slot.index + 1}"
        set_title(role, chosen)
        log_uncaught_exceptions()
        enter(chosen.variables)  # those of another generation, whose reload failed, may be set
        worker = HookWorker(os.getpid())
        self.hooks.require(Moment.POST_FORK, worker)
        acme = make_acme(chosen)
        listeners = make_listeners(chosen, acme, self.sockets)  # as the user that may read the keys
        if self.paths:
            # Imported as the user that may read the files of modules, for the same reason.
            import_module("rocket_cli._serving.health_check")
        assume_identity(chosen)
        site = self.site or find_site(chosen, welcomes=are_loopback(self.sockets))
        set_title(role, chosen, site.name)
        site = _with_limit(site, chosen, channel)
        configure_log(chosen)
        if doubt := spool_doubt(chosen):
            _log.warning("%s", doubt)
        if site.error is not None:
            _log.error("%s", site.error.message, exc_info=site.error.__cause__)
        access_log = open_access_log(chosen)
        bus = ProcessBus(self.bus)
        connect_shared_groups(bus)
        server = make_server(
            chosen,
            site,
            access_log,
            listeners=listeners,
            acme=acme,
            multiprocess=self.multiprocess,
        )
        if self.multiprocess:
            for each in listeners:
                each.shared = lambda: self.slot.pause(server.connections)
        paths = self.paths if site.error is None else ()
        return _Booted(
            chosen, site, server, acme, access_log, paths, self.slot, bus, self.hooks, worker
        )


@dataclass(frozen=True, slots=True)
class _Booted:
    """A worker process that has loaded the application, and can serve."""

    chosen: Chosen
    site: Site
    server: Server
    acme: ACME | None
    access_log: AccessLog | None
    paths: Sequence[str]
    slot: Slot
    bus: ProcessBus
    hooks: Hooks
    worker: HookWorker
    exit_deadline: ExitDeadline = field(default_factory=ExitDeadline)

    def serve(self, channel: Channel) -> int:
        """Serve until told to end, and return the exit code."""
        self.exit_deadline.start()
        code = self._serve(channel)
        self.exit_deadline.begin(code)
        return code

    def _serve(self, channel: Channel) -> int:
        server = self.server
        # 1. This process has nothing more to do, and exits. 2. Ctrl+C reaches all processes. It may
        # neither interrupt the exit, with a traceback, nor kill a process that has done its work.
        # If the exit is delayed, the supervisor decides.
        caught = caught_signals(ignored=[signal.SIGINT])
        with self.access_log or nullcontext(), caught as events:
            try:
                server.start(accept=False)
                if self.paths:
                    from rocket_cli._serving.health_check import check_health

                    check_health(server, self.paths)
                self.hooks.require(Moment.WORKER_READY, self.worker)
            except Exception as error:  # noqa: BLE001 - the supervisor logs it
                server.stop()
                message = error.message if isinstance(error, CommandError) else f"{error}"
                _report_failure(channel, message, error.__cause__ or error)
                return REFUSED
            inspector = Inspector(server, self.access_log)
            Control(channel, self._orders(channel), inspector.handlers).start()
            channel.send(self._report())
            self._wait(events)
            if self.acme is not None:
                self.acme.stop()
            self.hooks.call(Moment.WORKER_EXIT, self.worker)
            self.bus.finish()
            channel.send({"event": "final", "statistics": inspector.counters()})
        return 0

    def _report(self) -> Message:
        report: Message = {"event": "ready", "name": self.site.name, "found": self.site.found}
        if self.site.since is not None:
            report["watch"] = {"directories": code_directories(), "since": self.site.since}
        return report

    def _wait(self, events: Events) -> None:
        signal_handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGUSR1: self._reopen,
            signal.SIGHUP: lambda: None,  # a closed terminal; only the supervisor reacts
        }
        wait_for_end(self.server, events, lambda: self._drain(shared=True), signal_handlers)

    def _orders(self, channel: Channel) -> dict[str, Callable[[Message], None]]:
        return {
            "serve": lambda _: self._accept(),
            "pause": lambda _: self._pause(),
            "resume": lambda _: self._resume(),
            "drain": lambda message: self._drain_as_told(message, channel),
            "stop": lambda _: self._stop(),
            "reopen": lambda _: self._reopen(),
            "end": lambda _: self._drain(),
        }

    def _accept(self) -> None:
        self.slot.pause(0)
        self.server.accept()
        if self.acme is not None:
            self.acme.start()

    def _pause(self) -> None:
        self.slot.leave()
        self.server.pause()

    def _resume(self) -> None:
        self.slot.pause(0)
        self.server.resume()

    def _drain_as_told(self, message: Message, channel: Channel) -> None:
        self.slot.leave()
        self.exit_deadline.expect(message["seconds"])
        shared = set(message["shared"])
        listeners = [each for n, each in enumerate(self.server.listeners) if n in shared]
        self.server.drain(message["seconds"], shared=listeners)
        self.server.wait_closed()
        channel.send({"event": "closed"})

    def _drain(self, *, shared: bool = False) -> None:
        self.exit_deadline.expect(self.chosen["graceful-timeout"])
        listeners: list[Listener] = self.server.listeners if shared else []
        self.server.drain(self.chosen["graceful-timeout"], shared=listeners)

    def _stop(self) -> None:
        self.exit_deadline.expect(0)
        self.server.stop()

    def _reopen(self) -> None:
        reopen_log()
        if self.access_log is not None:
            self.access_log.reopen()
        if {self.chosen["error-log"], self.chosen["access-log"]} - {None, STANDARD}:
            _log.info("the logs are reopened")


def _with_limit(site: Site, chosen: Chosen, channel: Channel) -> Site:
    limit = chosen["max-requests"]
    if limit is None:
        return site

    def reached() -> None:
        channel.send({"event": "retire", "why": "has reached --max-requests"})

    application = counted(site.application, limit, chosen["max-requests-jitter"], reached)
    return replace(site, application=application)


def _report_failure(channel: Channel, reason: str, error: BaseException) -> None:
    lines = traceback.format_exception(error)
    channel.send({"event": "failed", "reason": reason, "traceback": "".join(lines)})

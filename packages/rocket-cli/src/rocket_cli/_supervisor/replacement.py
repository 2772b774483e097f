"""Reload and upgrade: replacing what serves while it serves.

Theory of operation. A *reload* (SIGHUP) reads the settings again, opens the sockets that they add,
and starts a new generation; `Generations` decides when it serves. An *upgrade* (SIGUSR2) starts the
command again as a process of this supervisor, which takes the sockets over (`Successor`) and serves
beside the present workers; then this supervisor ends gracefully. With ``--preload`` a reload is an
upgrade, because this process cannot import the application a second time.

One replacement is in progress at a time. A reload that is requested meanwhile is not lost:

1. A reload is in progress; its processes have read the code.
2. The code changes, and another reload is requested.
3. The first reload succeeds, with code that is out of date.

Therefore `reload` remembers the request, and `_finish` starts it when the first reload has
succeeded or failed. If the first one was an upgrade, the request goes to the new supervisor.
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress

from rocket_cli._application.hooks import Moment
from rocket_cli._errors import CommandError
from rocket_cli._logging.server_log import configure_log, reopen_log
from rocket_cli._processes.channel import Message
from rocket_cli._settings.chosen import Chosen
from rocket_cli._sockets.bound_sockets import BoundSocket, open_sockets
from rocket_cli._sockets.systemd_sockets import activated_sockets
from rocket_cli._supervisor.child import Child, describe_end
from rocket_cli._supervisor.children import Children
from rocket_cli._supervisor.error_handling import failure_of
from rocket_cli._supervisor.generation import Generation, size_of
from rocket_cli._supervisor.generations import Generations
from rocket_cli._supervisor.inquiries import Respond
from rocket_cli._supervisor.observer_processes import ObserverProcesses
from rocket_cli._supervisor.shutdown import Shutdown
from rocket_cli._supervisor.succession import Inheritance, Successor
from rocket_cli._supervisor.systemd_notify import Notifier
from rocket_cli._supervisor.working_directory import WorkingDirectory

_log = logging.getLogger("rocket_cli")


class Replacement:
    """Carries out reloads and upgrades, and reports their results.

    Attributes:
        given: whether systemd opened the sockets; then the settings do not decide about them.
        failed: how many reloads and upgrades have failed so far.
    """

    def __init__(
        self,
        *,
        children: Children,
        generations: Generations,
        observers: ObserverProcesses,
        shutdown: Shutdown,
        notifier: Notifier,
        working_directory: WorkingDirectory,
        environment: dict[str, str],
    ) -> None:
        """Replace nothing yet; ``environment`` is the one that the command was started with."""
        self._children = children
        self._generations = generations
        self._observers = observers
        self._shutdown = shutdown
        self._notifier = notifier
        self._working_directory = working_directory
        self._environment = environment
        self._successor: Child | None = None
        self._waiting: list[Respond] = []
        self._requested_again = False
        self.given = False
        self.failed = 0

    def first_sockets(self, chosen: Chosen, inherited: Inheritance | None) -> list[BoundSocket]:
        """Return the listening sockets of the first generation. Raises `CommandError`.

        They come from the previous supervisor, from systemd, or from the settings.
        """
        if inherited is not None:
            present, self.given = inherited.sockets, inherited.given
        else:
            activated = activated_sockets()
            present, self.given = activated or [], activated is not None
        return present if self.given else open_sockets(chosen, present)

    @property
    def _is_settled(self) -> bool:
        """Whether no other generation or supervisor is about to take over."""
        return self._generations.settled and self._successor is None

    # -- reload ------------------------------------------------------------------------------------

    def request(self, respond: Respond) -> None:
        """Reload, and call ``respond`` with the result."""
        self._waiting.append(respond)
        self.reload()

    def reload(self) -> None:
        """Read the settings again, and replace the present generation by a new one."""
        present = self._generations.present
        if self._shutdown.begun:
            return
        if present is None or not self._is_settled:
            self._requested_again = True
            return
        if present.chosen["preload"]:
            self.upgrade()
            return
        _log.info("reloading")
        self._notifier.reloading()
        try:
            chosen = self._choose_again(present.chosen)
            sockets = present.sockets if self.given else open_sockets(chosen, present.sockets)
        except Exception as error:  # noqa: BLE001 - no error may end a server that runs
            self.rejected(failure_of("cannot read the settings", error))
            return
        size = present.size
        if size_of(chosen) != size_of(present.chosen):
            size = size_of(chosen)
        self._generations.hooks.call(Moment.ON_RELOAD)
        self._generations.begin(chosen, sockets, size)

    def _choose_again(self, present: Chosen) -> Chosen:
        """Read the settings again, and enter their directory. Raises `click.ClickException`."""
        self._working_directory.leave(present)
        chosen = present.again()
        if chosen.depends_on_directory:
            # The previous settings may not have depended on it, so it may be missing unnoticed.
            self._working_directory.leave(chosen)
        self._working_directory.enter(chosen)
        return chosen

    def reloaded(self, generation: Generation) -> None:
        """Note that ``generation`` serves, and that the previous one accepts no more clients."""
        try:
            configure_log(generation.chosen)
        except CommandError as error:
            _log.error("the supervisor keeps its previous error log: %s", error.message)
        reopen_log()
        _log.info("reloaded: generation %d serves", generation.number)
        self.notify_ready(generation)
        self._finish({"generation": generation.number})

    def rejected(self, failure: Message) -> None:
        """Note that a new generation could not start, and that the present one keeps serving."""
        self.failed += 1
        reason = failure["reason"]
        _log.error("reload failed, the old processes keep serving: %s", reason)
        if failure.get("traceback"):
            _log.debug("%s", failure["traceback"])
        if self._generations.present is not None:
            try:
                self._working_directory.enter(self._generations.present.chosen)
            except CommandError as error:
                _log.error("new processes may fail to start until this is fixed: %s", error.message)
        self._notifier.send(READY=1, STATUS=f"reload failed: {reason}")
        self._finish({"error": reason})

    def notify_ready(self, generation: Generation) -> None:
        """Tell systemd that ``generation`` serves."""
        status = f"generation {generation.number} serves, processes: {generation.size}"
        self._notifier.send(READY=1, STATUS=status)

    def finish_start(self) -> None:
        """Carry out a reload that was requested while the server started."""
        self._finish({})

    def _finish(self, result: Message) -> None:
        """Report the result of a replacement, and start the one that was requested meanwhile."""
        waiting, self._waiting = self._waiting, []
        for respond in waiting:
            respond(result)
        if self._requested_again:
            self._requested_again = False
            self.reload()

    # -- upgrade -----------------------------------------------------------------------------------

    def upgrade(self) -> None:
        """Start a new supervisor, which takes the sockets over and, once it serves, replaces this.

        The command runs again with the same arguments, by the versions of Python and of Rocket
        that are installed now.
        """
        present = self._generations.present
        if self._shutdown.begun:
            return
        if present is None or not self._is_settled:
            _log.warning("no new supervisor is started: a reload is in progress; try again later")
            return
        if os.getpid() == 1:
            self._fail_upgrade("process 1 cannot be replaced; start another container instead")
            return
        _log.info("starting a new supervisor")
        self._notifier.reloading()
        try:
            task = Successor(
                present.sockets,
                self._observers.sockets,
                self.given,
                self._environment,
                self._working_directory,
                present.chosen,
            )
            self._successor = self._children.spawn(task, 0)
        except Exception as error:  # noqa: BLE001 - no error may end a server that runs
            self._fail_upgrade(failure_of("fork failed", error)["reason"])

    def is_successor(self, child: Child) -> bool:
        """Return whether ``child`` is the new supervisor."""
        return child is self._successor

    def successor_ended(self, child: Child, code: int) -> None:
        """Note that the new supervisor has ended before it served."""
        self._successor = None
        failure = child.failure or {"reason": f"{child} {describe_end(code)}"}
        self._fail_upgrade(failure["reason"])

    def _fail_upgrade(self, reason: str) -> None:
        self.failed += 1
        _log.error("upgrade failed, the old supervisor keeps running: %s", reason)
        self._notifier.send(READY=1, STATUS=f"upgrade failed: {reason}")
        self._finish({"error": reason})

    def hand_over(self, successor: Child) -> None:
        """Let the new supervisor, which serves, take over, and end this one."""
        self._notifier.send(MAINPID=successor.pid, READY=1)
        self._children.release(successor)
        self._successor = None
        if self._requested_again:
            self._requested_again = False
            with suppress(OSError):  # the new supervisor may have ended meanwhile
                os.kill(successor.pid, signal.SIGHUP)
        self._finish({"supervisor": successor.pid})
        self._shutdown.hand_over(successor.pid)

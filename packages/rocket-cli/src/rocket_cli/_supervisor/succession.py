"""A new supervisor that takes over from the one that runs (SIGUSR2).

Theory of operation. The old supervisor forks a process, as for any other task (`Successor`). That
process executes the command again: the same arguments, the directory and the environment in which
the command was started, and the listening sockets as inherited descriptors. A variable describes
the sockets and the channel to the old supervisor (`Inheritance`). The two run side by side:

1. The new supervisor starts its workers on the same sockets. Both accept clients.
2. Its first generation serves. It writes the PID file, closes the sockets that its settings do not
   name, and sends ``ready`` (`Inheritance.succeed`).
3. The old supervisor forgets it as a child, stops its observers and ends gracefully. Its workers
   leave the backlogs to the new ones, so no client is refused.

If the new supervisor fails before step 2, it sends the reason (`Inheritance.decline`) or just ends.
The old one then reports the failure, and has changed nothing. If the old supervisor is told to end
meanwhile, it stops the new one: the command as a whole is to end.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from rocket_cli._errors import CommandError
from rocket_cli._processes.channel import Channel
from rocket_cli._settings.bind import Bind, parse_bind
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.identity import Identity
from rocket_cli._sockets.bound_sockets import BoundSocket, close_sockets
from rocket_cli._sockets.systemd_sockets import inherited_socket
from rocket_cli._supervisor.pid_file import PidFile
from rocket_cli._supervisor.working_directory import WorkingDirectory
from rocket_core import UnixAddress
from rocket_core.extending import SocketFile

_log = logging.getLogger("rocket_cli")

_VARIABLE: Final = "ROCKET_SUCCESSION"
_FAILED: Final = 2


@dataclass(frozen=True, slots=True)
class Successor:
    """The task of the process that becomes the new supervisor.

    Attributes:
        listening: the sockets of the workers, which it takes over.
        observed: the sockets of the observers, which it takes over.
        given: whether systemd opened the sockets.
        environment: the environment in which the command was started.
        working_directory: the directory in which the command was started.
        chosen: the present settings, which may depend on that directory.
        name: the kind of the process.
    """

    listening: Sequence[BoundSocket]
    observed: Sequence[BoundSocket]
    given: bool
    environment: dict[str, str]
    working_directory: WorkingDirectory
    chosen: Chosen
    name: str = "new supervisor"

    @property
    def sockets(self) -> Sequence[BoundSocket]:
        """All sockets that the new supervisor takes over."""
        return [*self.listening, *self.observed]

    def run(self, channel: Channel) -> int:
        """Execute the command again; return an exit code only if that is impossible."""
        try:
            self.working_directory.leave(self.chosen)
        except CommandError as error:
            channel.send({"event": "failed", "reason": error.message})
            return _FAILED
        environment = dict(self.environment)
        if self.working_directory.directory is not None:
            environment["PWD"] = str(self.working_directory.directory)
        if "WATCHDOG_PID" in environment:
            environment["WATCHDOG_PID"] = str(os.getpid())
        inheritance = {
            "predecessor": os.getppid(),
            "channel": channel.fileno(),
            "given": self.given,
            "sockets": list(map(_leave, self.listening)),
            "observed": list(map(_leave, self.observed)),
        }
        environment[_VARIABLE] = json.dumps(inheritance)
        for descriptor in (channel.fileno(), *(each.socket.fileno() for each in self.sockets)):
            os.set_inheritable(descriptor, True)
        command = [sys.executable, *sys.orig_argv[1:]]
        try:
            os.execve(sys.executable, command, environment)  # noqa: S606 - the command itself
        except OSError as error:
            reason = f"cannot run {sys.executable}: {error.strerror}"
            channel.send({"event": "failed", "reason": reason})
            return _FAILED


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a new supervisor takes over from its predecessor.

    Attributes:
        predecessor: the process ID of the supervisor that still serves.
        channel: the channel to it.
        sockets: the sockets of its workers.
        observed: the sockets of its observers.
        given: whether systemd opened the sockets.
    """

    predecessor: int
    channel: Channel
    sockets: list[BoundSocket]
    observed: list[BoundSocket]
    given: bool

    def succeed(
        self,
        used: Sequence[BoundSocket] | None,
        observed: Sequence[BoundSocket],
        pid_file: PidFile | None,
    ) -> None:
        """Tell the predecessor that this supervisor serves.

        The sockets that are neither in ``used`` (None: all of them are) nor in ``observed`` are
        closed.
        """
        if pid_file is not None:
            try:
                pid_file.write(self.predecessor)
            except CommandError as error:
                _log.error("%s", error.message)
        if used is not None:
            kept = {each.socket for each in used}
            close_sockets(each for each in self.sockets if each.socket not in kept)
        kept = {each.socket for each in observed}
        close_sockets(each for each in self.observed if each.socket not in kept)
        self.channel.send({"event": "ready"})
        self.channel.close()

    def decline(self, reason: str) -> None:
        """Tell the predecessor why this supervisor cannot serve, unless it has already served."""
        if self.channel.fileno() >= 0:
            self.channel.send({"event": "failed", "reason": reason})


def take_inheritance(environ: MutableMapping[str, str] = os.environ) -> Inheritance | None:
    """Return what a predecessor has left, or None, and remove the variable that describes it."""
    text = environ.pop(_VARIABLE, "")
    if not text:
        return None
    inherited = json.loads(text)
    channel = socket.socket(fileno=inherited["channel"])
    os.set_inheritable(channel.fileno(), False)
    sockets = [_take(*each) for each in inherited["sockets"]]
    observed = [_take(*each) for each in inherited["observed"]]
    return Inheritance(
        inherited["predecessor"],
        Channel(channel, waits=True),
        sockets,
        observed,
        inherited["given"],
    )


def _leave(bound: BoundSocket) -> tuple[int, str, bool, Identity | None]:
    return bound.socket.fileno(), str(bound.bind), bound.file is not None, bound.user


def _take(
    descriptor: int,
    bind: str,
    has_file: bool,
    user: tuple[int, int, Sequence[int]] | None = None,
) -> BoundSocket:
    asked: Bind = parse_bind(bind)
    sock = inherited_socket(descriptor, None).socket
    maker = None if user is None else Identity(*user)
    file = None
    if has_file and isinstance(asked.address, UnixAddress):
        file = SocketFile(asked.address.path)
    return BoundSocket(asked, sock, file, maker)

"""A new supervisor that takes over from the one that runs."""

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
        listening: the sockets of the application that it takes over.
        observed: those of the observers.
        given: whether systemd has handed them over.
        environment: the environment that the command was started in.
        surroundings: the directory that it was started in.
        chosen: the settings, which may depend on that directory.
        name: what it is called.
    """

    listening: Sequence[BoundSocket]
    observed: Sequence[BoundSocket]
    given: bool
    environment: dict[str, str]
    surroundings: WorkingDirectory
    chosen: Chosen
    name: str = "new supervisor"

    @property
    def sockets(self) -> Sequence[BoundSocket]:
        """All of them."""
        return [*self.listening, *self.observed]

    def run(self, channel: Channel) -> int:
        """Run the command once more, as it was run; the exit code where that cannot be."""
        try:
            self.surroundings.leave(self.chosen)
        except CommandError as error:
            channel.send({"event": "failed", "reason": error.message})
            return _FAILED
        environment = dict(self.environment)
        if self.surroundings.directory is not None:
            environment["PWD"] = str(self.surroundings.directory)
        if "WATCHDOG_PID" in environment:
            environment["WATCHDOG_PID"] = str(os.getpid())
        legacy = {
            "predecessor": os.getppid(),
            "channel": channel.fileno(),
            "given": self.given,
            "sockets": list(map(_leave, self.listening)),
            "observed": list(map(_leave, self.observed)),
        }
        environment[_VARIABLE] = json.dumps(legacy)
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
class Legacy:
    """What a new supervisor takes over.

    Attributes:
        predecessor: the number of the process that still serves.
        channel: how to tell it that this one serves, or why not.
        sockets: its sockets for the application.
        observed: those of its observers.
        given: whether systemd had handed them over.
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
        """Say that this supervisor serves, at the sockets ``used`` (None: all) and ``observed``."""
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
        """Say why this supervisor cannot serve, unless it has served."""
        if self.channel.fileno() >= 0:
            self.channel.send({"event": "failed", "reason": reason})


def take_legacy(environ: MutableMapping[str, str] = os.environ) -> Legacy | None:
    """What a predecessor has left; None where there is none."""
    text = environ.pop(_VARIABLE, "")
    if not text:
        return None
    legacy = json.loads(text)
    channel = socket.socket(fileno=legacy["channel"])
    os.set_inheritable(channel.fileno(), False)
    sockets = [_take(*each) for each in legacy["sockets"]]
    observed = [_take(*each) for each in legacy["observed"]]
    return Legacy(
        legacy["predecessor"], Channel(channel, waits=True), sockets, observed, legacy["given"]
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

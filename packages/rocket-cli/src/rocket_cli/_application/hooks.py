"""Functions of the operator's own that are called at certain moments (``--hooks``)."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from rocket_cli._application.loading import import_module
from rocket_cli._errors import CommandError

_log = logging.getLogger("rocket_cli")


class Moment(Enum):
    """A moment at which a function may be called. The value is the name of the function."""

    ON_STARTING = "on_starting"
    """The supervisor is about to start the first processes."""
    WHEN_READY = "when_ready"
    """The first generation of processes serves."""
    PRE_FORK = "pre_fork"
    """The supervisor is about to fork a worker process."""
    POST_FORK = "post_fork"
    """A worker process begins, before it has loaded the application."""
    WORKER_READY = "worker_ready"
    """A worker process has loaded the application, and is about to serve."""
    WORKER_EXIT = "worker_exit"
    """A worker process has served its last request, and is about to end."""
    CHILD_EXIT = "child_exit"
    """The supervisor has noticed that a worker process has ended."""
    ON_RELOAD = "on_reload"
    """The supervisor is about to start a new generation."""
    ON_EXIT = "on_exit"
    """The supervisor is about to end; all processes have."""


_OF_THE_SERVER: Final = frozenset(
    {Moment.ON_STARTING, Moment.WHEN_READY, Moment.ON_RELOAD, Moment.ON_EXIT}
)
"""The moments whose functions take the server alone; the others take the worker, too."""


@dataclass(frozen=True, slots=True)
class HookServer:
    """The server, as functions of a hooks module see it.

    Attributes:
        pid: the process ID of the supervisor.
        settings: the settings by name, such as ``settings["threads"]``.
        log: the logger of the server.
    """

    pid: int
    settings: Mapping[str, Any]
    log: logging.Logger = _log


@dataclass(frozen=True, slots=True)
class HookWorker:
    """A worker process, as functions of a hooks module see it.

    Attributes:
        pid: the process ID; 0 before there is a process.
        generation: the number of its generation, from 1; 0 in the process itself.
        log: the logger of the server.
    """

    pid: int
    generation: int = 0
    log: logging.Logger = _log


@dataclass(frozen=True, slots=True)
class Hooks:
    """The functions of a hooks module, by the moments at which they are called."""

    server: HookServer
    functions: Mapping[Moment, Callable[..., object]] = field(default_factory=dict)

    def require(self, moment: Moment, worker: HookWorker | None = None) -> None:
        """Call the function for ``moment``, if there is one. Raises `CommandError` if it fails."""
        function = self.functions.get(moment)
        if function is None:
            return
        try:
            if worker is None:
                function(self.server)
            else:
                function(self.server, worker)
        except Exception as error:
            message = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise CommandError(f"--hooks: {moment.value} failed: {message}") from error

    def call(self, moment: Moment, worker: HookWorker | None = None) -> None:
        """Call the function for ``moment``, if there is one; log an error of it."""
        try:
            self.require(moment, worker)
        except CommandError as error:
            _log.error("%s", error.message, exc_info=error.__cause__)


def load_hooks(name: str | None, settings: Mapping[str, Any]) -> Hooks:
    """Import the module ``name``, and find its functions. Raises `CommandError`."""
    server = HookServer(os.getpid(), settings)
    if name is None:
        return Hooks(server)
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(name)
    finally:
        sys.path.remove(str(Path.cwd()))
    found = {each: getattr(module, each.value) for each in Moment if hasattr(module, each.value)}
    for moment, function in found.items():
        _check(name, moment, function)
    if not found:
        names = ", ".join(each.value for each in Moment)
        raise CommandError(f"--hooks: module {name} has none of these functions: {names}")
    return Hooks(server, found)


def _check(name: str, moment: Moment, function: object) -> None:
    count = 1 if moment in _OF_THE_SERVER else 2
    wanted = "(server)" if count == 1 else "(server, worker)"
    complaint = f"--hooks: {name}.{moment.value} must be a function that takes {wanted}"
    if not callable(function):
        raise CommandError(complaint)
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError) as error:
        raise CommandError(complaint) from error

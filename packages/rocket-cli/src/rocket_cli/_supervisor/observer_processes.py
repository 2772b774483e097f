"""The processes beside the generations: the observer and the watcher of code."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from rocket_cli._processes.channel import Message
from rocket_cli._processes.task import Task
from rocket_cli._sockets.bound_sockets import BoundSocket
from rocket_cli._supervisor.child import Child, Phase, describe_end
from rocket_cli._supervisor.children import Children
from rocket_cli._supervisor.timers import Timers

_log = logging.getLogger("rocket_cli")

_PAUSE: Final = 1.0
"""Seconds before a process that has ended is started again."""


class ObserverProcesses:
    """Starts the processes that outlive generations, and starts each again if it ends."""

    def __init__(self, children: Children, timers: Timers) -> None:
        """Start no process yet."""
        self._children = children
        self._timers = timers
        self._tasks: Sequence[Task] = ()
        self._watched: Message | None = None
        self._ending = False

    def take(self, tasks: Sequence[Task]) -> None:
        """Take the jobs of these processes, and their sockets, without starting them."""
        self._tasks = tasks

    @property
    def sockets(self) -> list[BoundSocket]:
        """The listening sockets of these processes."""
        return [each for task in self._tasks for each in task.sockets]

    def start(self) -> None:
        """Start a process for each task."""
        for task in self._tasks:
            self._start(task)

    def _start(self, task: Task) -> None:
        if self._ending:
            return
        try:
            self._children.spawn(task, 0)
        except OSError as error:
            _log.error("cannot start the %s, trying again: %s", task.name, error.strerror)
            self._timers.after(_PAUSE, lambda: self._start(task))

    def watch(self, watched: Message | None) -> None:
        """Tell all of them where the code of the present generation is, if that is known."""
        self._watched = watched
        for child in self._children:
            self._tell_watched(child)

    def ready(self, child: Child) -> None:
        """Note that ``child``, one of them, is ready."""
        child.phase = Phase.SERVING
        self._tell_watched(child)

    def _tell_watched(self, child: Child) -> None:
        if self._watched is not None and not child.generation and child.ready:
            self._children.tell(child, {"order": "watch", **self._watched})

    def ended(self, child: Child, code: int) -> None:
        """Start ``child``, one of them, again after a pause."""
        _log.error("%s %s: restarting it", child, describe_end(code))
        self._timers.after(_PAUSE, lambda: self._start(child.task))

    def end(self) -> None:
        """End them if no worker process is left; until then they answer, but are not restarted."""
        self._ending = True
        if not any(child.generation for child in self._children):
            self.stop()

    def stop(self) -> None:
        """Tell every process that belongs to no generation to stop."""
        for child in self._children:
            if not child.generation and child.phase is not Phase.ENDING:
                self._children.end(child, {"order": "stop"})

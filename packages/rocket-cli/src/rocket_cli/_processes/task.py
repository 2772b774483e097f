"""The protocol of what a process of the supervisor runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rocket_cli._processes.channel import Channel
from rocket_cli._sockets.bound_sockets import BoundSocket


class Task(Protocol):
    """The job of one process, which the supervisor forks for it.

    Attributes:
        name: the kind of the process, such as ``worker``, in log lines and in `Speaker`.
        sockets: the listening sockets that the process keeps; it closes all others.
    """

    @property
    def name(self) -> str: ...

    @property
    def sockets(self) -> Sequence[BoundSocket]: ...

    def run(self, channel: Channel) -> int:
        """Do the job in the forked process, and return its exit code."""

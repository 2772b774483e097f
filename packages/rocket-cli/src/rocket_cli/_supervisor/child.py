"""One process of the supervisor, as the supervisor sees it."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from enum import Enum

from rocket_cli._processes.channel import Channel, Message
from rocket_cli._processes.message_forms import Speaker
from rocket_cli._processes.task import Task


class Phase(Enum):
    """The phases in the life of a process, in their order."""

    BOOTING = "booting"
    """The process loads what it needs, and has not reported that it is ready."""
    READY = "ready"
    """The process could serve, and waits for the order to do so."""
    SERVING = "serving"
    """The process serves."""
    RETIRING = "retiring"
    """The process serves until its replacement is ready."""
    KEPT = "kept"
    """The process accepts no more connections, and serves again if its successors fail."""
    ENDING = "ending"
    """The process was told to end."""


@dataclass(slots=True, eq=False)
class Child:
    """A process that the supervisor has forked.

    Attributes:
        pid: the process ID.
        task: the job of the process.
        generation: the generation that the process belongs to, counted from 1; 0 for none.
        channel: the supervisor's end of the channel to the process.
        speaker: the check of the messages that the process sends.
        phase: the phase of its life.
        since: the time of the fork, by `time.monotonic`.
        served_since: the time from which it has served, likewise; 0 before.
        ready: whether the process has reported that it is ready, and reads its channel.
        final: whether the process has sent its last counters, and is about to end.
        failure: the message with the reason why the process could not start.
        overdue: why the process is to be replaced when it serves again; empty if it is not.
        counters: the counters in the last answer of the process.
    """

    pid: int
    task: Task
    generation: int
    channel: Channel
    speaker: Speaker
    phase: Phase = Phase.BOOTING
    since: float = field(default_factory=time.monotonic)
    served_since: float = 0.0
    ready: bool = False
    final: bool = False
    failure: Message | None = None
    overdue: str = ""
    counters: Message = field(default_factory=dict)

    @property
    def answers(self) -> bool:
        """Whether the process serves the application and answers questions."""
        return self.generation > 0 and self.ready and not self.final

    def __str__(self) -> str:
        return f"{self.task.name} {self.pid}"


def describe_end(code: int) -> str:
    """Return how a process has ended, as the end of a sentence about it.

    ``code`` is its exit code, or a negative signal number.
    """
    if code >= 0:
        return f"ended with exit code {code}"
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL (out of memory?)"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"

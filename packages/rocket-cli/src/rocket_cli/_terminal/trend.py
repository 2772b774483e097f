"""The changes between two looks at a server."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from rocket_cli._admin.counters import count, difference, total
from rocket_cli._admin.reply import Answer, Reply
from rocket_cli._admin.summary import running, summary

HISTORY: Final = 200
"""The number of looks that are remembered for the curve."""


@dataclass(frozen=True, slots=True)
class Look:
    """The answers of a server at one moment.

    Attributes:
        time: the moment, by `time.monotonic`.
        stats: the ``stats`` of each process.
        threads: the ``threads`` of each process.
    """

    time: float
    stats: Reply
    threads: Reply


class Trend:
    """The latest look at a server, and the rates since the previous one."""

    def __init__(self) -> None:
        self.look: Look | None = None
        self.seconds = 0.0
        """The seconds between the last two looks; 0 until there are two."""
        self.rates: deque[float] = deque(maxlen=HISTORY)
        """Requests per second, the latest last."""
        self.cpu: dict[int, float] = {}
        """The share of a processor that each process has used, by process ID."""
        self.per_process: dict[int, float] = {}
        """The requests per second of each process, by process ID."""
        self.counted: dict[str, Any] = {}
        """The counters of all processes between the last two looks."""

    def add(self, look: Look) -> None:
        """Add the next look."""
        before, self.look = self.look, look
        if before is None:
            return
        self.seconds = max(look.time - before.time, 1e-3)
        earlier = {_key(each): each["counters"] for each in before.stats.sound}
        changes = {
            each["process"]: difference(each["counters"], earlier[_key(each)])
            if _key(each) in earlier
            else dict(each["counters"])  # the process is new
            for each in look.stats.sound
        }
        self.counted = total(changes.values())
        self.cpu = {process: each["cpu"] / self.seconds for process, each in changes.items()}
        self.per_process = {
            process: each["requests"] / self.seconds for process, each in changes.items()
        }
        self.rates.append(self.counted.get("requests", 0) / self.seconds)

    def forget(self) -> None:
        """Forget the latest look, because the server is gone, and its counters start again."""
        self.look = None
        self.seconds = 0.0
        self.counted = {}

    @property
    def processes(self) -> list[Answer]:
        """The ``stats`` of the processes, the oldest generation first."""
        found = [] if self.look is None else self.look.stats.sound
        return sorted(found, key=lambda each: (each["generation"], each["process"]))

    @property
    def whole(self) -> dict[str, Any]:
        """The ``stats`` of all processes together."""
        return summary(self.processes)

    @property
    def slowest(self) -> list[dict[str, Any]]:
        """The running requests, the longest running first."""
        return [] if self.look is None else running(self.look.threads.sound)

    @property
    def waited(self) -> float | None:
        """The share of the queue in the time of requests; None if no request has ended."""
        queue = self.counted.get("queue_time", {})
        service = self.counted.get("service_time", {})
        if not count(service):
            return None
        whole = queue["sum"] + service["sum"]
        return queue["sum"] / whole if whole else 0.0


def _key(answer: Answer) -> tuple[int, int]:
    """Return the identity of a process.

    The system may use a process ID again, but hardly within one generation.
    """
    return answer["process"], answer["generation"]

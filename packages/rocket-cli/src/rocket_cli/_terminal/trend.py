"""What has changed between two looks at a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rocket_cli._admin.counters import count, difference, total
from rocket_cli._admin.reply import Reply
from rocket_cli._admin.summary import running, summary

Answer = Mapping[str, Any]

HISTORY: Final = 200
"""Looks that are remembered for the curve."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the server answered at one moment.

    Attributes:
        time: when, by `time.monotonic`.
        stats: the ``stats`` of each process.
        threads: the ``threads`` of each process.
    """

    time: float
    stats: Reply
    threads: Reply


class Trend:
    """The latest look, and the rates since the one before."""

    def __init__(self) -> None:
        self.look: Look | None = None
        self.seconds = 0.0
        """Between the last two looks; 0 as long as there are not two."""
        self.rates: deque[float] = deque(maxlen=HISTORY)
        """Requests per second, the latest last."""
        self.cpu: dict[int, float] = {}
        """The share of a core that each process has used."""
        self.per_process: dict[int, float] = {}
        """The requests per second of each process."""
        self.counted: dict[str, Any] = {}
        """What was counted between the last two looks."""

    def add(self, look: Look) -> None:
        """Take the next look."""
        before, self.look = self.look, look
        if before is None:
            return
        self.seconds = max(look.time - before.time, 1e-3)
        earlier = {_key(each): each["counters"] for each in before.stats.sound}
        changes = {
            each["process"]: difference(each["counters"], earlier[_key(each)])
            if _key(each) in earlier
            else dict(each["counters"])  # it has begun since then
            for each in look.stats.sound
        }
        self.counted = total(changes.values())
        self.cpu = {process: each["cpu"] / self.seconds for process, each in changes.items()}
        self.per_process = {
            process: each["requests"] / self.seconds for process, each in changes.items()
        }
        self.rates.append(self.counted.get("requests", 0) / self.seconds)

    def forget(self) -> None:
        """The server is gone: what it counts next begins anew."""
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
        """All processes together."""
        return summary(self.processes)

    @property
    def slowest(self) -> list[dict[str, Any]]:
        """The requests that run now, the longest first."""
        return [] if self.look is None else running(self.look.threads.sound)

    @property
    def waited(self) -> float | None:
        """The share of the time of requests that they spent in the queue; None without any."""
        queue = self.counted.get("queue_time", {})
        service = self.counted.get("service_time", {})
        if not count(service):
            return None
        whole = queue["sum"] + service["sum"]
        return queue["sum"] / whole if whole else 0.0


def _key(answer: Answer) -> tuple[int, int]:
    """A process; numbers of processes are used again, but not within a generation."""
    return answer["process"], answer["generation"]

"""Calls that become due while an application runs, for the Monitor's thread to make."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import Protocol


class Alarmed(Protocol):
    """What has something to do at a time."""

    def look(self) -> None:
        """Look whether the time has come. It never waits and never raises."""

    def __hash__(self) -> int: ...


class Alarms:
    """The times at which something is to be looked at. Any thread may call `set` and `cancel`.

    A watcher of the Monitor's thread. There is no lock, since single operations on a dictionary are
    atomic, and an alarm is a hint: what it
    tells looks at the clock itself. There are no more of them
    than requests that are served, as each request has one and cancels it.
    """

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[Alarmed, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def set(self, alarmed: Alarmed, when: float) -> None:
        """Have ``alarmed`` look at ``when``, by `time.monotonic`, instead of a time set before.

        The caller then rouses the Monitor's thread (`WorkerPool.rouse`).
        """
        self._due[alarmed] = when

    def cancel(self, alarmed: Alarmed) -> None:
        """Have ``alarmed`` not look, unless it just does."""
        self._due.pop(alarmed, None)

    def look(self) -> float:
        """Tell what is due; return the seconds until the next time. For the Monitor's thread."""
        if not self._due:
            return inf
        now = monotonic()
        upcoming = inf
        for alarmed, when in list(self._due.items()):
            if when > now:
                upcoming = min(upcoming, when)
                continue
            self._due.pop(alarmed, None)
            alarmed.look()
        return upcoming - now

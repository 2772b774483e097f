"""The rate at which a client sends or takes: over the last minute, not since the beginning."""

from __future__ import annotations

from math import exp
from typing import Final

from rocket_core._connection.timeouts import Timeouts

MINUTE: Final = 60.0
"""Seconds over which a rate is judged, unless `Timeouts.stall` lets clients pause for longer."""


class Transfer:
    """One body that arrives, or one response that the client takes.

    Each byte earns the client time, at the minimum rate, and the client keeps no more time than a
    minute. So a client that has moved much at once must go on, and a client that keeps up the rate
    is never late. Several waits of a worker belong to one transfer, if they are for one request and
    in one direction: the time between them does not count.

    Only the owner of the connection calls the methods, except `pace` and `age`.

    Attributes:
        deadline: when the client is too slow, unless it moves something before, by
            `time.monotonic`.
        moved: bytes that have moved so far.
        request: the number of the request that the transfer belongs to.
        sending: whether the client takes a response; otherwise it sends.
    """

    __slots__ = (
        "_began",
        "_due",
        "_ends",
        "_grace_ends",
        "_lately",
        "_lately_at",
        "_paused_at",
        "_queued",
        "_taken",
        "_timeouts",
        "deadline",
        "moved",
        "request",
        "sending",
    )

    def __init__(
        self,
        timeouts: Timeouts,
        now: float,
        *,
        queued: int = 0,
        request: int = 0,
        sending: bool = False,
    ) -> None:
        """Begin at ``now``; the system holds ``queued`` bytes that were sent before."""
        self._timeouts = timeouts
        self.request = request
        self.sending = sending
        self._began = self._paused_at = now
        self._grace_ends = self._ends = self._due = now + timeouts.grace
        # _ends: the end of the time earned by bytes that have moved, perhaps only into a buffer of
        # the system. _due: the same for bytes that the client has certainly taken.
        self.moved = 0
        self._queued = queued
        self._taken = 0
        self._lately = 0.0
        self._lately_at = now
        self.deadline = min(self._ends, now + timeouts.stall)

    def move(self, count: int, now: float) -> None:
        """Note that ``count`` bytes have moved."""
        self.moved += count
        self._lately = self._weighed(now) + count
        self._lately_at = now
        if not self.sending:  # the server has what it waited for
            self._paused_at = now
        self._ends = self._earn(self._ends, count, now)
        self.deadline = min(self._ends, now + self._timeouts.stall)

    def confirm(self, unsent: int, now: float) -> bool:
        """Return whether the client, at its deadline, has taken enough to be given more time.

        ``unsent`` are the bytes that the system has accepted and the client has not taken.
        """
        if not self._credit(unsent, now):
            return False
        self._ends = self._due
        self.deadline = min(self._due, now + self._timeouts.stall)
        return self.deadline > now

    def pause(self, unsent: int, now: float) -> None:
        """Note that the client is not waited for from ``now`` on; ``unsent`` is as in `confirm`."""
        self._credit(unsent, now)
        self._paused_at = now

    def resume(self, now: float, *, queued: int = 0) -> None:
        """Go on at ``now``: the time since the pause does not count against the client.

        The system holds ``queued`` bytes, of which some may have been sent in the pause.
        """
        seconds = now - self._paused_at
        self._paused_at = now
        self._began += seconds
        self._grace_ends += seconds
        self._lately_at += seconds
        # What has moved in the pause has earned time already; no more than a minute is kept of it.
        self._due = self._earn(self._due + seconds, 0, now)
        self._ends = self._earn(self._ends + seconds, 0, now)
        self.deadline = min(self._ends, now + self._timeouts.stall)
        self._queued = queued - self.moved
        self._taken = 0

    def pace(self, now: float) -> float:
        """Return the bytes per second, mostly of the last minute. Any thread may call this."""
        return self._weighed(now) / (MINUTE * (1 - exp(-(now - self._began + 1) / MINUTE)))

    def age(self, now: float) -> float:
        """Return the seconds since the transfer began. Any thread may call this."""
        return now - self._began

    def _credit(self, unsent: int, now: float) -> bool:
        """Let the client earn time for what it has certainly taken; return whether it has."""
        taken = self._queued + self.moved - unsent
        if taken <= self._taken:
            return False
        self._due = self._earn(self._due, taken - self._taken, now)
        self._taken = taken
        return True

    def _earn(self, until: float, count: int, now: float) -> float:
        window = max(MINUTE, self._timeouts.stall)
        return min(until + count / self._timeouts.minimum_rate, max(now + window, self._grace_ends))

    def _weighed(self, now: float) -> float:
        """Return the bytes that have moved; a byte counts for less the longer ago it moved."""
        return self._lately * exp(-max(now - self._lately_at, 0.0) / MINUTE)

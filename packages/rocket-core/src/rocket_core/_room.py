"""Room for new clients while there are as many connections as there may be.

Clients that rest, or hardly move, must not keep others out until their time is up. While somebody
waits to be accepted, those of them that rest longest lose their connections.
"""

from __future__ import annotations

import heapq
import time
from typing import Final

from rocket_core._connection import Connection
from rocket_core._monitor import Monitor
from rocket_core._phases import Phases
from rocket_core._reason import CloseReason
from rocket_core._state import State
from rocket_core._statistics import Counters
from rocket_core._timeouts import Timeouts
from rocket_core._worker import Worker

REST: Final = 1.0
"""Seconds that a client may rest even then. One that asks again and again is let be."""

TRANSFER_REST: Final = 5.0
"""Seconds that the transfer of a body or a response is given even then."""

_SHARE: Final = 64
"""One of so many connections is closed at a time: looking for them costs a look at each."""

_TRANSFERS: Final = frozenset({State.BODY, State.SENDING})


class Room:
    """Closes connections for the sake of clients that wait to be accepted."""

    def __init__(self, monitor: Monitor, phases: Phases, timeouts: Timeouts, limit: int) -> None:
        self._monitor = monitor
        self._phases = phases
        self._count = max(limit // _SHARE, 1)
        self._seconds: Final = {
            State.HANDSHAKE: timeouts.handshake,
            State.IDLE: timeouts.keep_alive,
            State.HEAD: timeouts.head,
            State.LINGER: timeouts.linger,
        }

    def make(self, worker: Worker, counters: Counters) -> None:
        """Close those that rest longest; where none rests, the slowest transfers.

        Called by the Monitor's thread. Where all are busy, nothing happens.
        """
        now = time.monotonic()
        parked = self._monitor.parked()
        rest = [(-seconds, id(each), each) for each in parked if (seconds := self._rest(each, now))]
        if rest:
            victims = heapq.nsmallest(self._count, rest)
        else:
            slow = [
                (each.pace(now), id(each), each)
                for each in parked
                if each.state in _TRANSFERS and each.transfer_time(now) >= TRANSFER_REST
            ]
            victims = heapq.nsmallest(1, slow)
        for *_, victim in victims:
            state = victim.state
            if not self._monitor.claim(victim):
                continue
            if victim.state is state and (state in _TRANSFERS or self._rest(victim, now)):
                victim.close_reason = CloseReason.CROWDED
                self._phases.close(victim, worker, counters)
            else:  # it moved between the look and the claim
                self._monitor.park(victim)

    def _rest(self, connection: Connection, now: float) -> float:
        """Seconds for which its client has rested; 0 where that is too short, or it moves."""
        seconds = self._seconds.get(connection.state)
        if seconds is None:
            return 0.0
        rested = now - (connection.deadline - seconds)
        return rested if rested >= REST else 0.0

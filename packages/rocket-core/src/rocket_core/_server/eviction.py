"""Room for new clients while there are as many connections as there may be.

Clients that rest, or hardly move, must not keep others out until their time is up. While somebody
waits to be accepted, those of them that rest longest lose their connections.
"""

from __future__ import annotations

import time
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from rocket_core._engine.engine import DRAIN_GRACE
from rocket_core._state import CloseReason, State
from rocket_core._system.poller import READ, WRITE
from rocket_core._system.wait_ready import wait_ready

if TYPE_CHECKING:
    from rocket_core._connection.connection import Connection
    from rocket_core._connection.timeouts import Timeouts
    from rocket_core._engine.engine import Engine
    from rocket_core._engine.monitor import Monitor
    from rocket_core._engine.statistics import Counters
    from rocket_core._engine.worker import Worker

REST: Final = 1.0
"""Seconds that a client may rest even then. One that asks again and again is let be."""

TRANSFER_REST: Final = 5.0
"""Seconds that the transfer of a body or a response is given even then."""

LEAST_SHARE: Final = 1 / 64
"""What is left of these times when others come faster than so long a rest makes room for them."""

CALM: Final = 2.0
"""Seconds without anybody waiting, after which these times are whole again."""

_PORTION: Final = 64
"""One of so many connections is closed at a time: looking for them costs a look at each."""

_LOOKING: Final = 10
"""Looks in vain take no more than one part in so many of the time."""

_TRANSFERS: Final = frozenset({State.BODY, State.SENDING})


class Eviction:
    """Closes connections for the sake of clients that wait to be accepted."""

    def __init__(self, monitor: Monitor, phases: Engine, timeouts: Timeouts, limit: int) -> None:
        self._monitor = monitor
        self._phases = phases
        self._count = max(limit // _PORTION, 1)
        self._seconds: Final = {
            State.HANDSHAKE: timeouts.handshake,
            State.IDLE: timeouts.keep_alive,
            State.HEAD: timeouts.head,
            State.LINGER: timeouts.linger,
        }
        self._share = 1.0
        self._called = -inf
        self._again = -inf

    def make(self, worker: Worker, counters: Counters) -> None:
        """Close those that rest longest; where none rests, the slowest transfers.

        Called by the Monitor's thread. Where all are busy, nothing happens, but a shorter rest
        will do the next time.
        """
        now = time.monotonic()
        if now - self._called > CALM:
            self._share = 1.0
        self._called = now
        if now < self._again:
            return
        if self._close_some(now, worker, counters):
            return
        self._share = max(self._share / 2, LEAST_SHARE)
        ended = time.monotonic()
        self._again = ended + _LOOKING * (ended - now)

    def _close_some(self, now: float, worker: Worker, counters: Counters) -> int:
        parked = self._monitor.parked()
        rest = [(seconds, each) for each in parked if (seconds := self._rest(each, now))]
        if rest:
            rest.sort(key=itemgetter(0), reverse=True)
        else:
            rest = [(each.pace(now), each) for each in parked if self._is_transfer(each, now)]
            rest.sort(key=itemgetter(0))
        closed = 0
        for _, victim in rest:
            closed += self._close(victim, now, worker, counters)
            if closed == self._count:
                break
        return closed

    def _close(self, victim: Connection, now: float, worker: Worker, counters: Counters) -> bool:
        if not self._monitor.claim(victim):
            return False
        # It may have moved between the look and the claim, or the server has not seen that it did.
        if not (self._rest(victim, now) or self._is_transfer(victim, now)) or _moves(victim):
            self._monitor.park(victim)
            return False
        victim.close_reason = CloseReason.CROWDED
        self._phases.close(victim, worker, counters)
        return True

    def _rest(self, connection: Connection, now: float) -> float:
        """Seconds for which its client has rested; 0 where that is too short, or it moves."""
        state = connection.state
        if state is State.BODY:
            rested = now - connection.claimed_at
            return rested if rested >= TRANSFER_REST * self._share else 0.0
        seconds = self._seconds.get(state)
        if seconds is None:
            return 0.0
        if state is State.IDLE and connection.last_request >= 0:  # in a drain
            seconds = min(seconds, DRAIN_GRACE)
        rested = now - (connection.deadline - seconds)
        return rested if rested >= REST * self._share else 0.0

    def _is_transfer(self, connection: Connection, now: float) -> bool:
        """Whether it is in the midst of a transfer that has had its time."""
        return (
            connection.state in _TRANSFERS
            and connection.transfer_time(now) >= TRANSFER_REST * self._share
        )


def _moves(connection: Connection) -> bool:
    """Whether its client has moved, and the server, which has much to do, has yet to see it."""
    if connection.state is State.LINGER:
        return False  # whatever it sends
    interest = WRITE if connection.state is State.SENDING else READ
    return wait_ready(connection.descriptor, interest, 0)

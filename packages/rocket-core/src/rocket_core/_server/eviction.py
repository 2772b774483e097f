"""Closes idle connections for new clients while there are as many as there may be.

Clients that are idle, or hardly move, must not keep others out until their time is up. While a
client waits to be accepted, the connections that have been idle for longest are closed.
"""

from __future__ import annotations

import time
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from rocket_core._connection.turn_taker import TurnState
from rocket_core._engine.engine import DRAIN_GRACE
from rocket_core._state import CloseReason, State
from rocket_core._system.poller import READ, WRITE
from rocket_core._system.wait_ready import wait_ready

if TYPE_CHECKING:
    from rocket_core._connection.connection import Connection
    from rocket_core._connection.timeouts import Timeouts
    from rocket_core._engine.engine import Engine
    from rocket_core._engine.monitor import Monitor
    from rocket_core._engine.seat import Seat

MIN_IDLE: Final = 1.0
"""Seconds that a connection may be idle even then. A client that asks again and again is spared."""

MIN_TRANSFER: Final = 5.0
"""Seconds that the transfer of a body or a response may take even then."""

LEAST_SHARE: Final = 1 / 64
"""What is left of these times, at least, when clients come faster than connections get idle."""

CALM: Final = 2.0
"""Seconds in which no client waits, after which these times are whole again."""

_PORTION: Final = 64
"""Close 1/64 of the connections at a time: looking for them costs a look at each."""

_LOOKING: Final = 10
"""Looks in vain take no more than 1/10 of the time."""

_TRANSFERS: Final = frozenset({State.BODY, State.SENDING})


class Eviction:
    """Closes connections for the sake of clients that wait to be accepted.

    Used by the Monitor's thread alone, whose seat it has.
    """

    def __init__(
        self,
        monitor: Monitor,
        engine: Engine,
        seat: Seat,
        timeouts: Timeouts,
        limit: int,
        *,
        shared: bool = False,
    ) -> None:
        """Close connections of ``monitor``, of which there may be ``limit``; or ``shared`` ones."""
        self._monitor = monitor
        self._engine = engine
        self._seat = seat
        self._shared = shared
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

    def evict(self) -> None:
        """Close the connections that have been idle for longest, else the slowest transfers.

        Where all are busy, none is closed, but less time will do at the next call.
        """
        now = time.monotonic()
        if now - self._called > CALM:
            self._share = 1.0
        self._called = now
        if now < self._again:
            return
        if self._close_some(now):
            return
        self._share = max(self._share / 2, LEAST_SHARE)
        ended = time.monotonic()
        self._again = ended + _LOOKING * (ended - now)

    def _close_some(self, now: float) -> int:
        parked = self._monitor.parked()
        found = [(seconds, each) for each in parked if (seconds := self._idle_time(each, now))]
        if found:
            found.sort(key=itemgetter(0), reverse=True)
        else:
            found = [(each.pace(now), each) for each in parked if self._is_transfer(each, now)]
            found.sort(key=itemgetter(0))
        closed = 0
        for _, victim in found:
            closed += self._close(victim, now)
            if closed == self._count:
                break
        return closed

    def _close(self, victim: Connection, now: float) -> bool:
        if not self._monitor.claim(victim):
            return False
        # 1. The victim is chosen. 2. Its client sends, and a worker claims, serves and parks the
        # connection, or has yet to notice. 3. It is claimed here, and looked at once more.
        if not (self._idle_time(victim, now) or self._is_transfer(victim, now)) or _moves(victim):
            self._monitor.park(victim)
            return False
        victim.close_reason = CloseReason.CROWDED
        self._engine.close(victim, self._seat)
        return True

    def _idle_time(self, connection: Connection, now: float) -> float:
        """Return the seconds that its client has been idle; 0: not long enough, or it moves."""
        state = connection.state
        if state is State.BODY:
            idle = now - connection.claimed_at
            return idle if idle >= MIN_TRANSFER * self._share else 0.0
        if state is State.SHARED:
            shared = connection.shared
            if shared is None or shared.turn_state is not TurnState.RESTING:
                return 0.0  # the application is busy with it
            if not shared.protocol.gives_way(asked=self._shared):
                return 0.0
            idle = now - connection.claimed_at
            return idle if idle >= MIN_IDLE * self._share else 0.0
        seconds = self._seconds.get(state)
        if seconds is None:
            return 0.0
        if state is State.IDLE and connection.last_request >= 0:  # in a drain
            seconds = min(seconds, DRAIN_GRACE)
        idle = now - (connection.deadline - seconds)
        return idle if idle >= MIN_IDLE * self._share else 0.0

    def _is_transfer(self, connection: Connection, now: float) -> bool:
        """Return whether it is in the midst of a transfer that has had its time."""
        return (
            connection.state in _TRANSFERS
            and connection.transfer_time(now) >= MIN_TRANSFER * self._share
        )


def _moves(connection: Connection) -> bool:
    """Return whether its client has sent or taken something that the server has yet to notice."""
    if connection.state is State.LINGER:
        return False  # whatever it sends
    interest = WRITE if connection.state is State.SENDING else READ
    return wait_ready(connection.descriptor, interest, 0)

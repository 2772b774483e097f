"""What a connection knows of the server that it belongs to."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from rocket_core._connection.alarms import Alarms
from rocket_core._connection.budget import TOTAL_INPUT, Budget
from rocket_core._connection.client_connections import ClientConnections
from rocket_core._connection.corks import Corks
from rocket_core._connection.disk_budget import DiskBudget
from rocket_core._connection.end_watch import EndWatch, NoEndWatch
from rocket_core._connection.input_room import InputRoom
from rocket_core._connection.shared_tally import SharedTally
from rocket_core._system.fault_log import FaultLog

if TYPE_CHECKING:
    from rocket_core._connection.turn_taker import TurnTaker
    from rocket_core._exchange import Exchange, TakenOver
    from rocket_core._lease import Lease


class WorkerPool(Protocol):
    """The thread pool, as far as a worker tells it that it will be away, and another is needed."""

    def stalled(self, exchange: Exchange, /) -> AbstractContextManager[object]:
        """Return what a worker enters for as long as it must wait for its client."""

    def replace(self, lease: Lease, /) -> bool:
        """Have another thread take the place of the worker of an overdue request.

        Returns False when too many workers are replaced already.
        """

    def returned(self, lease: Lease, /) -> None:
        """Note that the worker of an overdue request, replaced or not, is done with it."""

    def upgrade(self, taken: TakenOver, /) -> bool:
        """Have another thread take the place of a worker whose application takes a connection over.

        Returns False when too many connections are taken over already.
        """

    def downgrade(self, taken: TakenOver, /) -> None:
        """Note that the application is done with a connection that it has taken over."""

    def submit_turn(self, taker: TurnTaker, /) -> None:
        """Queue a turn for a worker, and see to it that one comes. Any thread may call this."""

    def leave_turn(self, taker: TurnTaker, /) -> None:
        """Queue a turn, on a thread that is about to look at the queue, as that of an owner is."""

    def rouse(self) -> None:
        """Have the Monitor's thread look at what has just been noted. Any thread may call this."""


class LeavingTurns(Protocol):
    """The registry of a server, as far as a stream that ends deals with it."""

    def begin_leaving(self, taker: TurnTaker, /) -> None:
        """Note that ``taker`` is about to be over, and has to be told. Any thread may call this."""


class Pushing(Protocol):
    """A shared connection, or stream, as far as others that need its memory deal with it."""

    @property
    def pending(self) -> int:
        """Bytes that were queued and the client has yet to take. Any thread may ask."""

    def cut(self) -> None:
        """Drop what is queued, and disconnect the client. Any thread may call this."""

    def __hash__(self) -> int: ...


class NoPool:
    """A `WorkerPool` without threads: no worker is missed while it is away."""

    def stalled(self, exchange: Exchange, /) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        del exchange
        return nullcontext()

    def replace(self, lease: Lease, /) -> bool:
        """Return True."""
        del lease
        return True

    def returned(self, lease: Lease, /) -> None:
        """Do nothing."""

    def upgrade(self, taken: TakenOver, /) -> bool:
        """Return True."""
        del taken
        return True

    def downgrade(self, taken: TakenOver, /) -> None:
        """Do nothing."""

    def submit_turn(self, taker: TurnTaker, /) -> None:
        """Do nothing."""
        del taker

    def leave_turn(self, taker: TurnTaker, /) -> None:
        """Do nothing."""
        del taker

    def rouse(self) -> None:
        """Do nothing."""


class NoRegistry:
    """A registry that no thread waits for."""

    def begin_leaving(self, taker: TurnTaker, /) -> None:
        """Do nothing."""
        del taker


@dataclass(slots=True, eq=False)
class ServerState:
    """State that all connections of a server share.

    Attributes:
        pool: what a worker tells that it will be away, and what takes turns.
        ends: what tells that the client of a request that is served has left.
        alarms: what becomes due for such requests.
        request_timeout: seconds that a request may take; None: there is no limit.
        leaving: what is told of the streams whose protocols have yet to be told of their ends.
        input: the budget in memory for all large requests together; see `Spool`.
        output: the budget in memory for all responses that clients have yet to take.
        pushed: the budget in memory for all that shared connections hold for their clients; half
            of its limit is given, see `SharedConnection`.
        pushing: the shared connections, and streams, for which something is held.
        tally: what is counted on shared connections and streams.
        corks: the shared connections with output that was left for a moment.
        room: the bound in memory for all that shared connections and streams have received and not
            handled.
        clients: counts the connections of each client; None: they are not limited.
        disk: the disk space for all large request bodies together; see `Spool`.
        faults: the log of errors that clients can provoke again and again.
        draining: whether idle connections are closed instead of kept.
        drain_spread: seconds over which shared connections are told that the server drains.
        limited: how many requests were refused so far because their clients had sent too many.
        stopped: whether every connection is closed instead of parked.
    """

    pool: WorkerPool = field(default_factory=NoPool)
    ends: EndWatch = field(default_factory=NoEndWatch)
    alarms: Alarms = field(default_factory=Alarms)
    request_timeout: float | None = None
    leaving: LeavingTurns = field(default_factory=NoRegistry)
    input: Budget = field(default_factory=lambda: Budget(TOTAL_INPUT))
    output: Budget = field(default_factory=Budget)
    pushed: Budget = field(default_factory=Budget)
    pushing: set[Pushing] = field(default_factory=set)
    tally: SharedTally = field(default_factory=SharedTally)
    corks: Corks = field(default_factory=Corks)
    room: InputRoom = field(default_factory=InputRoom)
    clients: ClientConnections | None = None
    disk: DiskBudget = field(default_factory=DiskBudget)
    faults: FaultLog = field(default_factory=FaultLog)
    draining: bool = False
    drain_spread: float = 0.0
    stopped: bool = False
    limited: int = 0
    _limited_lock: threading.Lock = field(default_factory=threading.Lock)

    def count_limited(self) -> None:
        """Count a request that is refused, as its client has sent too many of late."""
        with self._limited_lock:
            self.limited += 1

    def take_room(self, holder: Pushing, size: int) -> bool:
        """Take ``size`` bytes of `pushed` for ``holder``; return False where that had to go.

        Any thread may call this, without the lock of ``holder``.
        """
        while not self.pushed.lend(size):
            # What is too much for all connections together would be so without the others, too.
            # Where no other holds anything, threads have taken the room for what they are about to
            # queue. The caller counts on it that what is refused here is followed by nothing.
            holders: list[Pushing] = list(self.pushing) if size <= self.pushed.lendable else []
            most: Pushing = max(holders, key=_pending, default=holder)
            most.cut()
            if most is holder:
                return False
        return True


def _pending(holder: Pushing) -> int:
    return holder.pending


NO_SERVER: Final = ServerState()
"""The state of connections outside of any server."""

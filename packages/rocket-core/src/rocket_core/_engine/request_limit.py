"""A limit for the time that one request takes."""

from __future__ import annotations

import logging
import time
from math import inf
from typing import TYPE_CHECKING, Final

from rocket_core._lease import Hold, Lease
from rocket_core._state import CloseReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_core._connection.connection import Connection
    from rocket_core._connection.server_state import ServerState

_log = logging.getLogger("rocket_core.watchdog")

_RECHECK: Final = 1.0
"""Seconds until an overdue request whose worker waits for its client is looked at again."""


def _leave(connection: Connection) -> None:
    connection.abort()


def _tell_nobody() -> None:
    return


class RequestLimit:
    """Ends requests that take too long, while their threads still run.

    `begin` and `end` are for workers, `look` is for the Monitor's thread.
    """

    def __init__(self, seconds: float, host: ServerState) -> None:
        self._seconds = seconds
        self._host = host
        # Needs no lock: single operations on a dictionary are atomic.
        self._leases: dict[Lease, Connection] = {}
        self._next = -inf
        self.answer: Callable[[Connection], None] = _leave
        """Called on the Monitor's thread, which then owns the connection it has overtaken."""
        self.begun: Callable[[], None] = _tell_nobody
        """Called when a request has begun, and `look` would find it."""

    def begin(self, connection: Connection) -> Lease:
        """The calling thread begins with a request."""
        lease = Lease(time.monotonic())
        connection.lease = lease
        self._leases[lease] = connection
        self.begun()
        return lease

    def end(self, lease: Lease, connection: Connection) -> bool:
        """The calling thread is done with it; whether the connection is still its own."""
        self._leases.pop(lease, None)
        right = lease.finish()
        if right is not Hold.OVER:
            self._host.pool.returned(lease)
        if right is Hold.OVERTAKEN:
            return False
        connection.lease = None
        return True

    def look(self) -> float:
        """End what is to be ended; seconds until there may be more, infinite when nobody works."""
        now = time.monotonic()
        if now < self._next:
            return self._next - now
        leases = list(self._leases.items())
        if not leases:
            return inf
        due = now - self._seconds
        for lease, connection in leases:
            if lease.hold is Hold.OVER:  # it has no limit any more
                self._leases.pop(lease, None)
            elif lease.overdue(due):
                self._overtake(lease, connection, due)
        ends = [lease.began + self._seconds for lease in list(self._leases)]
        # What is left of those whose time is up waits for its client.
        self._next = min([now + self._seconds, *(e if e > now else now + _RECHECK for e in ends)])
        return self._next - now

    def _overtake(self, lease: Lease, connection: Connection, due: float) -> None:
        def abort() -> None:
            connection.close_reason = CloseReason.REQUEST_TIMEOUT
            connection.abort()

        # Before it is overtaken, or its worker could return without being missed yet.
        replaced = self._host.pool.replace(lease)
        right = lease.overtake(due, abort)
        if right not in (Hold.OVERTAKEN, Hold.CUT):
            self._host.pool.returned(lease)
            return
        self._leases.pop(lease, None)
        _log.error(
            "%s: the request %s is not done after %.1f s: %s; its thread %s: %s",
            connection.peer,
            "" if lease.context is None else lease.context,
            self._seconds,
            "answered without it" if right is Hold.OVERTAKEN else "its connection is cut",
            "is replaced" if replaced else "is not replaced, too many are already",
            self._host.faults.stack_of(_log, lease.thread),
        )
        if right is Hold.OVERTAKEN:
            self.answer(connection)

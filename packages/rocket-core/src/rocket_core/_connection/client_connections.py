"""How many connections one client may have, and open in a second.

Theory of operation
-------------------
A connection counts from its acceptance, or from its PROXY header, which tells the client, until it
is closed. Both is done by its owner, one thread at a time; ``_lock`` guards the numbers.

The peers in the networks that are *free* are not counted: they are proxies, whose connections are
those of many clients. So are Unix sockets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, Protocol

from rocket_core._connection.client_buckets import ClientBuckets
from rocket_core._connection.origin import origin_of_host

if TYPE_CHECKING:
    from rocket_core._network.address import Peer
    from rocket_core._network.networks import Networks


class Counted(Protocol):
    """A connection, as far as it is counted."""

    peer: Peer

    def __hash__(self) -> int: ...


class ClientConnections:
    """The connections of each client. Any thread may call any method.

    There are entries for clients with a connection, and none for others.

    Attributes:
        refused: how many connections were closed at once so far, because of a limit.
    """

    def __init__(self, limit: int | None, rate: float | None, free: Networks) -> None:
        """Let each client have ``limit`` connections, and open ``rate`` a second; None: any number.

        It may open as many as in ten seconds at once.
        """
        self._limit: Final = limit
        self._free: Final = free
        self._buckets = None if rate is None else ClientBuckets(rate, max(int(rate * 10), 1))
        self._lock = threading.Lock()
        self._origins: dict[Counted, Hashable] = {}
        """The connections that are open, and what those of one client have in common."""
        self._counts: dict[Hashable, int] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._counts)

    def admit(self, connection: Counted) -> bool:
        """Count a connection that has begun; return False if its client may not have it."""
        peer = connection.peer
        if peer.is_unix or peer.host in self._free:
            return True
        origin = origin_of_host(peer.host)
        now = time.monotonic()
        with self._lock:
            count = self._counts.get(origin, 0)
            if (self._limit is not None and count >= self._limit) or (
                self._buckets is not None and self._buckets.take(origin, now) > 0
            ):
                self.refused += 1
                return False
            self._counts[origin] = count + 1
            self._origins[connection] = origin
        return True

    def release(self, connection: Counted) -> None:
        """Count a connection no more, if it is counted. It ends."""
        with self._lock:
            origin = self._origins.pop(connection, None)
            if origin is None:
                return
            count = self._counts[origin] - 1
            if count:
                self._counts[origin] = count
            else:
                del self._counts[origin]

    def let_go(self) -> None:
        """In a process that the application forked: be without the threads that are not there."""
        self._lock = threading.Lock()

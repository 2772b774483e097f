"""How many requests of one client are served at once, and where its others wait.

Theory of operation
-------------------
A worker that has taken a request from the queue asks here whether its client may have one more
served (`ClientLines.enter`). If not, the request waits in the line of its client, and the worker
takes the next one of the queue: so one client can keep no more workers busy than it may, however
many requests it has, and the others do not wait behind them. A worker that has served a request of
a client (`leave`) passes the place on to the first of that client's line. That one is *called*: it
goes into the queue behind all others, and keeps the place until it is served, or turned away
(`drop`).

The owner of a request in a line is the line, as that of one in the queue is the queue: it is taken
out under ``_lock``, by one thread.

There are entries for clients of which something is served, or called, and for no others. So there
are no more of them than workers, with those that are away, and requests in the queue.

A place belongs to a client, and not to a connection. 1. A worker has served a request, and parks
its connection. 2. Another worker takes the next request of the connection, and enters. 3. The first
worker leaves. Both count in between, as they should: so what a worker keeps is the origin.

1. A worker finds that its client has all places, and is about to add its request to the line. 2.
The last request of that client ends, finds an empty line, and its entry is removed. 3. The request
is added to a line that nothing would ever look at. So the first and the third step are one, under
``_lock``, which the second one takes as well.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable
from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_core._connection.shared_request import SharedRequest
from rocket_core._connection.turn_taker import TurnTaker

if TYPE_CHECKING:
    from rocket_core._connection.connection import Connection


class Place(Enum):
    """What becomes of a request whose client has had no place left."""

    GRANTED = "there is one now: it is served, and the worker leaves afterwards"
    LINE = "it waits in the line of its client, and does not belong to the worker any more"
    NONE = "too many wait: it is to be refused"

    __hash__ = object.__hash__


class _Client:
    """A client of which something is served.

    Attributes:
        places: how many of its requests are served, or called.
        line: those that wait.
    """

    __slots__ = ("line", "places")

    def __init__(self) -> None:
        self.places = 0
        self.line: deque[Connection | SharedRequest] = deque()


class ClientLines:
    """The clients whose requests are served. Any thread may call any method.

    ``_lock`` guards everything.

    Attributes:
        lined: how many requests had to wait in a line so far.
    """

    def __init__(self, limit: int, most: int) -> None:
        """Let each client have ``limit`` requests served at once, and ``most`` of all wait.

        Of one client, no more may wait than others could still.
        """
        self._limit: Final = limit
        self._most: Final = most
        self._lock = threading.Lock()
        self._clients: dict[Hashable, _Client] = {}
        self._called: dict[Connection | TurnTaker, Hashable] = {}
        """The requests in the queue that have a place, and the origins of their clients."""
        self._waiting = 0
        self.lined = 0

    @property
    def waiting(self) -> int:
        """How many requests wait in lines."""
        return self._waiting

    @property
    def clients(self) -> int:
        """How many clients there are entries for."""
        return len(self._clients)

    def enter(self, request: Connection | SharedRequest, origin: Hashable) -> bool:
        """Take a place for ``request``, which the caller is about to serve; False: there is none.

        ``origin`` is what all requests of its client have in common.
        """
        with self._lock:
            return self._called.pop(request, None) is not None or self._take_place(origin)

    def line_up(self, request: Connection | SharedRequest, origin: Hashable) -> Place:
        """Have ``request`` wait for which `enter` has found no place."""
        with self._lock:
            if self._take_place(origin):  # one has become free meanwhile
                return Place.GRANTED
            line = self._clients[origin].line
            if len(line) >= self._most - self._waiting:
                return Place.NONE
            line.append(request)
            self._waiting += 1
            self.lined += 1
            return Place.LINE

    def _take_place(self, origin: Hashable) -> bool:
        """With the lock: take a place of a client; return False if it has none left."""
        client = self._clients.get(origin)
        if client is None:
            self._clients[origin] = client = _Client()
        if client.places >= self._limit:
            return False
        client.places += 1
        return True

    def leave(self, origin: Hashable) -> Connection | SharedRequest | None:
        """Give up a place of a client; return which of its requests has it now, or None.

        The caller then owns that request, and puts it into the queue.
        """
        with self._lock:
            return self._leave(origin)

    def drop(self, request: Connection | TurnTaker) -> Connection | SharedRequest | None:
        """Do so if ``request`` was called. The caller has taken it from the queue, not to serve it.

        Or it is served where that does not count.
        """
        with self._lock:
            origin = self._called.pop(request, None)
            return None if origin is None else self._leave(origin)

    def _leave(self, origin: Hashable) -> Connection | SharedRequest | None:
        client = self._clients[origin]
        if client.line:
            self._waiting -= 1
            following = client.line.popleft()
            self._called[following] = origin
            return following
        client.places -= 1
        if not client.places:
            del self._clients[origin]
        return None

    def take_late(self, due: float) -> list[Connection | SharedRequest]:
        """Take out what has been ready since before ``due``, by `time.monotonic`."""
        late: list[Connection | SharedRequest] = []
        with self._lock:
            for client in self._clients.values():
                while client.line and _ready_since(client.line[0]) <= due:
                    late.append(client.line.popleft())
            self._waiting -= len(late)
        return late

    def abandoned(self) -> list[Connection]:
        """Take the connections that wait; the caller owns them then.

        Requests on shared connections are forgotten, and end with these.
        """
        with self._lock:
            found = [each for client in self._clients.values() for each in client.line]
            for client in self._clients.values():
                client.line.clear()
            self._waiting = 0
        return [each for each in found if not isinstance(each, SharedRequest)]

    def let_go(self) -> None:
        """In a process that the application forked: be without the threads that are not there."""
        self._lock = threading.Lock()


def _ready_since(request: Connection | SharedRequest) -> float:
    return request.arrived_at if isinstance(request, SharedRequest) else request.claimed_at

"""Requests on a shared connection, such as the streams of HTTP/2.

Theory of operation
-------------------
Each request is an exchange of its own, and its turn is all of it: a worker takes it from the queue,
and serves it to its end. So the requests of one connection are served on as many threads as there
are, at the same time.

Of one connection, no more than one request is in the queue of the pool. The protocol keeps the
others. The worker that takes the one in the queue asks for the next one (`RequestHandler.follow`),
and puts it behind all others before it begins. So one client with a hundred requests and a hundred
clients with one each are treated alike, and a request that its client takes back before its turn
costs nothing.

While all workers are busy, the urgent lanes serve what is urgent. A request may be so behind others
of its connection, which wait for a worker. So the Monitor's thread asks the one in the queue for it
(`RequestHandler.take_urgent`), and has it served ahead of its turn; then it has no follower.

The right to answer is settled by the lease of each request, as over HTTP/1.1. When the time is up,
only that request ends, not the connection.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, final

from rocket_core._connection.turn_taker import TurnState, TurnTaker
from rocket_core._state import State

_SHARED: Final = State.SHARED
_RESTING: Final = TurnState.RESTING


class RequestHandler(Protocol):
    """The protocol's side of a request, which has it answered.

    What its methods note is carried out by `flush`.

    Attributes:
        connection: the `Connection` of the request.
        gone: whether the client does not wait for an answer any more. Any thread may read it.
    """

    gone: bool

    @property
    def connection(self) -> Any:
        """The connection of the request."""

    def follow(self) -> SharedRequest | None:
        """Return the request of the same connection to be queued next, or None.

        Called once, by the thread that has taken this request from the queue.
        """

    def drop(self) -> None:
        """End a request that has not been served, because its client is gone."""

    def serve(self, worker: Any, request: SharedRequest) -> None:
        """Have the application answer ``request``. ``worker`` is that of the thread of the pool."""

    def is_urgent(self, worker: Any) -> bool:
        """Return whether the request is served even while all workers are busy."""

    def take_urgent(self) -> SharedRequest | None:
        """Return an urgent request of the same connection that is not in the queue, or None.

        It leaves its place: the caller has it served, or calls `put_back` of its handler. The
        Monitor's thread calls this, of the request that it has taken from the queue.
        """

    def put_back(self) -> None:
        """Wait for its turn again, after `take_urgent`."""

    def refuse(self) -> None:
        """Answer, without waiting, that no worker has time."""

    def overdue(self) -> None:
        """Answer that it takes too long, though the application still runs."""

    def break_off(self) -> None:
        """End the response in its midst, since it takes too long. The Monitor's thread calls this.

        It has the lock of the lease, and calls `flush` afterwards.
        """

    def give_way(self) -> None:
        """End the wait of the worker, by ending this request alone. As `Exchange.give_way`."""

    def failed(self) -> None:
        """End the request: a method has raised an exception, which is logged already."""

    def flush(self) -> None:
        """Carry out what was noted. Any thread may call this. Raises nothing."""

    def pace(self, now: float) -> float:
        """Return the rate at which the client sends or takes, in bytes per second."""

    def doing(self) -> str:
        """Return what the request is, for people. Any thread may call this."""


@final
class SharedRequest(TurnTaker):
    """A request on a shared connection. The worker that has taken it from the queue is its owner.

    Attributes:
        arrived_at: when the request was complete, by `time.monotonic`. `Exchange.claimed_at` is
            when it was put into the queue, perhaps behind others of the connection.
        handler: what has it answered.
    """

    __slots__ = ("arrived_at", "handler")

    def __init__(
        self, handler: RequestHandler, arrived_at: float, client: str | None = None
    ) -> None:
        """Begin with a request that is complete; for ``client`` see `Exchange`."""
        # As all constructors together do, whose calls would cost each request.
        self.arrived_at = arrived_at
        self.claimed_at = self.queue_time = self.stalled_since = 0.0
        self.client = client
        self.handler = handler
        self.lease = None
        self.stalled_request = -1
        self.upgraded = None
        self.state = _SHARED
        self.turn_state = _RESTING

    @property
    def connection(self) -> Any:
        """The connection of the request."""
        return self.handler.connection

    def pace(self, now: float) -> float:
        """Return the rate at which the client sends the request, or takes the response."""
        return self.handler.pace(now)

    def begin_stall(self, now: float) -> None:
        """Note at ``now`` that the worker waits for the client: only the first time counts."""
        self.stalled_since = self.stalled_since or now

    def give_way(self) -> None:
        """End the wait of the worker, by ending this request alone."""
        self.handler.give_way()

    def overdue(self) -> None:
        """Answer that it takes too long."""
        self.handler.overdue()

    def failed(self) -> None:
        """End the request: the server has failed."""
        self.handler.failed()

    def flush(self) -> None:
        """Carry out what was noted."""
        self.handler.flush()

    def doing(self) -> str:
        """Return what the request is."""
        return self.handler.doing()

    @property
    def leaves(self) -> bool:
        """Return False: the connection is told that it is over, and not its requests."""
        return False

"""Requests on a shared connection, such as the streams of HTTP/2.

Theory of operation
-------------------
Each request is an exchange of its own, and its turn is all of it: a worker takes it from the queue,
and serves it to its end. So the requests of one connection are served on as many threads as there
are, at the same time.

Of one connection, no more than one request is in the queue of the pool. The protocol keeps the
others. The worker that takes the one in the queue asks for the next one (`SharedRequest.follow`),
and puts it behind all others before it begins. So one client with a hundred requests and a hundred
clients with one each are treated alike, and a request that its client takes back before its turn
costs nothing.

While all workers are busy, the urgent lanes serve what is urgent. A request may be so behind others
of its connection, which wait for a worker. So the Monitor's thread asks the one in the queue for it
(`SharedRequest.take_urgent`), and has it served ahead of its turn; then it has no follower.

The right to answer is settled by the lease of each request, as over HTTP/1.1. When the time is up,
only that request ends, not the connection.
"""

from __future__ import annotations

from typing import Any, Final

from rocket_core._connection.turn_taker import TurnState, TurnTaker
from rocket_core._native_classes import mypyc_attr
from rocket_core._state import State

_SHARED: Final = State.SHARED
_RESTING: Final = TurnState.RESTING


@mypyc_attr(allow_interpreted_subclasses=True)
class SharedRequest(TurnTaker):
    """A request on a shared connection. The worker that has taken it from the queue is its owner.

    What its methods note is carried out by `flush`.

    Attributes:
        arrived_at: when the request was complete, by `time.monotonic`. `Exchange.claimed_at` is
            when it was put into the queue, perhaps behind others of the connection.
        gone: whether the client does not wait for an answer any more. The protocol sets it; any
            thread may read it.
    """

    __slots__ = ("arrived_at", "gone")

    def __init__(self) -> None:
        """Begin with a request that is not complete."""
        # As all constructors together do, whose calls would cost each request.
        self.claimed_at = self.arrived_at = self.queue_time = self.stalled_since = 0.0
        self.client = None
        self.gone = False
        self.lease = None
        self.stalled_request = -1
        self.upgraded = None
        self.state = _SHARED
        self.turn_state = _RESTING

    def follow(self) -> SharedRequest | None:
        """Return the request of the same connection to be queued next, or None.

        Called once, by the thread that has taken this request from the queue.
        """
        raise NotImplementedError

    def drop(self) -> None:
        """End a request that has not been served, because its client is gone."""
        raise NotImplementedError

    def serve(self, worker: Any) -> None:
        """Have the application answer. ``worker`` is that of the thread, which is of the pool."""
        raise NotImplementedError

    def is_urgent(self, worker: Any) -> bool:
        """Return whether the request is served even while all workers are busy."""
        raise NotImplementedError

    def take_urgent(self) -> SharedRequest | None:
        """Return an urgent request of the same connection that is not in the queue, or None.

        It leaves its place: the caller has it served, or calls its `put_back`. The Monitor's thread
        calls this, of the request that it has taken from the queue.
        """
        return None

    def put_back(self) -> None:
        """Wait for its turn again, after `take_urgent`."""
        raise NotImplementedError

    def refuse(self) -> None:
        """Answer, without waiting, that no worker has time."""
        raise NotImplementedError

    def break_off(self) -> None:
        """End the response in its midst, since it takes too long. The Monitor's thread calls this.

        It has the lock of the lease, and calls `flush` afterwards.
        """
        raise NotImplementedError

    def give_way(self) -> None:
        """End the wait of the worker, by ending this request alone. As `Exchange.give_way`."""
        raise NotImplementedError

    def begin_stall(self, now: float) -> None:
        """Note at ``now`` that the worker waits for the client: only the first time counts."""
        self.stalled_since = self.stalled_since or now

    @property
    def leaves(self) -> bool:
        """Return False: the connection is told that it is over, and not its requests."""
        return False

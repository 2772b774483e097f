"""An exchange: what one thread of the pool serves at a time.

Theory of operation
-------------------
A connection is a socket with its buffers, its state and its client's pace. What a worker serves is
smaller: one request and its response over HTTP/1.1, one stream of HTTP/2 (RFC 9113, section 5), or
one message of a websocket (RFC 6455). That is an exchange, and what belongs to the request and not
to the socket is kept here: since when it has waited, for how long, who may use the connection while
the application runs, and whether its worker has had to wait for the client.

Over HTTP/1.1 a connection has one exchange at a time, and never two. So `Connection` inherits from
`Exchange`, and is its own only exchange for as long as it lives: nothing is allocated for a
request, and ``connection.connection is connection``. A protocol with several exchanges on one
connection makes an object for each.

The thread pool, the workers that wait for clients, the request limit and the statistics all deal
with exchanges, and ask `Exchange.connection` for the connection where they need the client.

The worker that serves an exchange owns it. Two attributes are for other threads as well: `lease`,
which has a lock of its own, and `upgraded`, through which the server ends a connection that the
application has taken over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rocket_core._native_classes import mypyc_attr
from rocket_core._state import State

if TYPE_CHECKING:
    from rocket_core._lease import Lease
    from rocket_core._network.address import Peer
    from rocket_core._state import CloseReason


class Carrier(Protocol):
    """The connection of an exchange, as far as the pool and its limits need it."""

    peer: Peer
    state: State
    requests: int
    close_reason: CloseReason | None

    def __hash__(self) -> int: ...

    @property
    def slow_reason(self) -> CloseReason:
        """The reason to close for while the client is too slow. Any thread may ask for it."""

    def pace(self, now: float) -> float:
        """Return the client's present rate in bytes per second. Any thread may call this."""

    def abort(self) -> None:
        """Make every operation on the socket fail. Any thread may call this."""


class TakenOver(Protocol):
    """A connection that the application has taken over, as the server deals with it."""

    def end_input(self) -> None:
        """Let the application receive no more than has arrived. Any thread may call this."""

    def cut_if_silent(self, since: float) -> float:
        """Disconnect the client if no byte has moved after ``since``; return when one last has.

        Both times are those of `time.monotonic`. Any thread may call this.
        """

    def let_go(self) -> None:
        """Close the descriptors that a process forked by the application has inherited."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange:
    """One request and its response, one stream of HTTP/2, or one message of a websocket.

    Attributes:
        claimed_at: when the exchange last became ready to be served, by `time.monotonic`.
        client: the host that sent the request, where the peer is a proxy that the protocol
            believes; empty where that proxy does not tell; None where the peer is the client.
        lease: the right to use the connection while the application runs, where the server limits
            the time of requests; otherwise None. A worker that offers it while it does not use the
            connection can be overtaken, and claims it again before it does; see `Lease`.
        queue_time: seconds that the exchange waited for a worker.
        state: what the connection of the exchange waits for; that of a turn is SHARED, whatever the
            connection does.
        stalled_since: when the worker first had to wait for the client in this exchange, by
            `time.monotonic`; valid where `stalled_request` is the number of the present request.
        stalled_request: the number of the request in which `stalled_since` was set; -1: none yet.
        upgraded: what the application uses the connection through, once it has taken it over.
    """

    __slots__ = (
        "claimed_at",
        "client",
        "lease",
        "queue_time",
        "stalled_request",
        "stalled_since",
        "state",
        "upgraded",
    )

    state: State

    def __init__(self) -> None:
        """Begin an exchange that has not been ready yet; a subclass sets its state."""
        self.claimed_at = 0.0
        self.client: str | None = None
        self.lease: Lease | None = None
        self.queue_time = 0.0
        self.stalled_request = -1
        self.stalled_since = 0.0
        self.upgraded: TakenOver | None = None

    @property
    def connection(self) -> Carrier:
        """The connection that the exchange belongs to."""
        raise NotImplementedError

    def pace(self, now: float) -> float:
        """Return the rate at which the client takes or sends, in bytes per second, for this alone.

        Any thread may call this. This implementation returns that of the connection.
        """
        return self.connection.pace(now)

    def begin_stall(self, now: float) -> None:
        """Note at ``now`` that the worker waits for the client: only the first time counts."""
        number = self.connection.requests
        if self.stalled_request != number:
            self.stalled_request = number
            self.stalled_since = now

    def give_way(self) -> None:
        """End the wait of the worker, by cutting its client off. The caller has the pool's lock."""
        connection = self.connection
        connection.close_reason = connection.slow_reason
        connection.abort()

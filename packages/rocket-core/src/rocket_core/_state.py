"""The life of a connection: its states, its owner in each, its transitions, and why it ends.

Theory of operation
-------------------
A connection has exactly one owner at any time, and only its owner may touch it. So a connection has
no lock. The state says which side has the next move, and the next move decides the owner:

- The client has the next move: the Monitor owns the connection. It is parked, with a deadline, and
  no thread waits for it.
- The server has the next move: the connection is in the queue of the thread pool.
- The application has the next move: a worker owns the connection. Only in these states may a thread
  wait for its client.

Ownership passes in one atomic step, in which only one thread can succeed. A parked connection is
*claimed* by removing it from the Monitor's dictionary. A queued one is taken out of the queue. The
thread that has done this owns the connection, whatever its state, until it parks, queues or closes
the connection. While it does so it may enter several states: a request that arrives whole takes a
connection from IDLE over READY and ACTIVE to IDLE again, on one thread.

A few operations are for threads that do not own the connection, on purpose:

- `Connection.abort` makes every operation of the owner fail; the owner then closes the connection.
- `Lease` decides whether the worker or the Monitor's thread may use an active connection.
- `UpgradedSocket` lets any thread of the application use an upgraded connection, and the Monitor's
  thread end its input.
- `SharedConnection` lets any thread send on a shared connection, and more: the thread notes what it
  wants, and then claims the connection as any other thread would.
- `Monitor.expired`, `Eviction` and `Absences` choose what to close by attributes of connections
  that they do not own: state, deadline, times, pace. They then claim the connection, and look once
  more, or abort it.
- `Absences`, `OverdueWatch` and `SilentUpgrades` write `close_reason` before they abort.
- `ThreadPool.observe` and statistics read single attributes, whose values may be out of date.

`TRANSITIONS` is the whole table. Any other transition raises `TransitionError` and changes nothing.
The diagram in docs/architecture.md is made from the table.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from rocket_core._errors import TransitionError


class Owner(Enum):
    """The part of the server that may touch a connection."""

    MONITOR = "monitor"
    """The connection is parked, and waits for its client without a thread."""
    QUEUE = "queue"
    """The connection waits for a worker."""
    WORKER = "worker"
    """One thread of the pool serves the connection, and may wait for its client."""
    NONE = "none"
    """The connection is gone."""


class State(Enum):
    """What a connection waits for. Each value is the name that statistics use."""

    HANDSHAKE = "handshake"
    """The client has yet to complete the PROXY header or the TLS handshake."""
    IDLE = "idle"
    """No byte of the next request has arrived."""
    HEAD = "head"
    """A part of a request's head has arrived."""
    BODY = "body"
    """The head of a request and a part of its body have arrived."""
    READY = "ready"
    """A request is complete and waits for a worker."""
    ACTIVE = "active"
    """A worker runs the application."""
    UPGRADED = "upgraded"
    """The application speaks another protocol with the client (RFC 9110, section 7.8)."""
    SHARED = "shared"
    """The client may send, and any thread may send to the client (`SharedConnection`)."""
    SENDING = "sending"
    """The client has yet to take the rest of the response, or an error response is being made."""
    LINGER = "linger"
    """The last response is sent, and what the client still sends is discarded (RFC 9112, 9.6)."""
    CLOSED = "closed"
    """The socket is closed. No state follows."""

    # Members are singletons: identity is equality, and hashing by identity costs no Python call.
    __hash__ = object.__hash__


# Only where a worker is the owner may a thread wait for the client: see `Connection.write`.
OWNERS: Final[dict[State, Owner]] = {
    State.HANDSHAKE: Owner.MONITOR,
    State.IDLE: Owner.MONITOR,
    State.HEAD: Owner.MONITOR,
    State.BODY: Owner.MONITOR,
    State.READY: Owner.QUEUE,
    State.ACTIVE: Owner.WORKER,
    State.UPGRADED: Owner.WORKER,
    State.SHARED: Owner.MONITOR,
    State.SENDING: Owner.MONITOR,
    State.LINGER: Owner.MONITOR,
    State.CLOSED: Owner.NONE,
}
"""The owner of a connection in each state, while no thread has claimed it."""

_ENDS: Final = frozenset({State.SENDING, State.LINGER, State.CLOSED})
"""The states to which every earlier one may turn at any time: a last response, or none.

A shared connection sends its last output before it leaves SHARED, and so never turns to SENDING."""

TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.HANDSHAKE: _ENDS | {State.IDLE},
    State.IDLE: _ENDS | {State.HEAD, State.BODY, State.READY, State.SHARED},
    State.HEAD: _ENDS | {State.IDLE, State.BODY, State.READY, State.SHARED},
    State.BODY: _ENDS | {State.READY},
    State.READY: _ENDS | {State.ACTIVE},
    State.ACTIVE: _ENDS
    | {State.IDLE, State.HEAD, State.BODY, State.READY, State.UPGRADED, State.SHARED},
    State.UPGRADED: _ENDS,
    State.SHARED: frozenset({State.IDLE, State.LINGER, State.CLOSED}),
    State.SENDING: frozenset(
        {State.IDLE, State.HEAD, State.BODY, State.READY, State.LINGER, State.CLOSED}
    ),
    State.LINGER: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
"""The states that may follow each state."""


class CloseReason(Enum):
    """The reason for which a connection was closed. Each value is the name that statistics use."""

    CLIENT = "client closed"
    """The client closed the connection."""
    RESET = "connection reset"
    """The client reset the connection, or the network broke it."""
    SERVED = "served"
    """The last response was sent."""
    ERROR = "error"
    """The worker failed."""
    TLS = "TLS error"
    """The TLS handshake or the TLS connection failed."""
    PROXY = "PROXY header error"
    """The connection did not begin with the PROXY header that was expected."""
    HANDSHAKE_TIMEOUT = "handshake timed out"
    """`Timeouts.handshake` is over."""
    HEAD_TIMEOUT = "head timed out"
    """`Timeouts.head` is over."""
    KEEP_ALIVE_TIMEOUT = "keep-alive timed out"
    """`Timeouts.keep_alive` is over."""
    BODY_TIMEOUT = "body too slow"
    """The client sent a request's body more slowly than `Timeouts` allow, or than others did."""
    SEND_TIMEOUT = "response taken too slowly"
    """The client took a response more slowly than `Timeouts` allow, or than others did."""
    SILENCE_TIMEOUT = "upgraded connection silent"
    """`Timeouts.silence` is over."""
    LINGER_TIMEOUT = "linger timed out"
    """`Timeouts.linger` is over."""
    VIOLATION = "protocol violated"
    """The client made an error that ends a connection with many requests, as one of HTTP/2."""
    ABUSE = "limit exceeded"
    """The client exceeded what a protocol allows on one connection, such as resets and pings."""
    OVERLOADED = "overloaded"
    """The request waited too long for a worker, or too many others waited."""
    LEFT = "client left the queue"
    """The client closed the connection while its request waited for a worker."""
    REQUEST_TIMEOUT = "request timed out"
    """The application took longer for a request than the server allows."""
    CROWDED = "made room for another"
    """The server had as many connections as it may, and this one was idle or slow."""
    DRAINED = "drained"
    """The server drains, and this connection had no request to finish."""
    STOPPED = "stopped"
    """The server stopped before the connection had ended."""

    __hash__ = object.__hash__


def check_transition(source: State, target: State) -> None:
    """Raise `TransitionError` unless the table allows ``source`` to become ``target``."""
    if target not in TRANSITIONS[source]:
        raise TransitionError(source.value, target.value)

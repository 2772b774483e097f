"""The life of a connection: its states, who owns it in each, and the moves between them.

A connection has exactly one owner at any time, and only its owner may touch it. The state says who
has the next move; whenever that is the client, the owner is the Monitor and no thread waits.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from rocket_core._errors import TransitionError


class Owner(Enum):
    """Who may touch a connection."""

    MONITOR = "monitor"
    QUEUE = "queue"
    WORKER = "worker"
    NOBODY = "nobody"


class State(Enum):
    """What a connection waits for. The value is the name statistics use."""

    HANDSHAKE = "handshake"
    """A proxy's header or TLS negotiation is under way; the client's move."""
    IDLE = "idle"
    """No byte of the next request has arrived; the client's move."""
    HEAD = "head"
    """A request's head has arrived in part; the client's move."""
    BODY = "body"
    """A request's body has arrived in part; the client's move."""
    READY = "ready"
    """A request is complete and waits for a worker."""
    ACTIVE = "active"
    """A worker runs the application."""
    UPGRADED = "upgraded"
    """The application speaks a protocol of its own with the client (RFC 9110, section 7.8)."""
    SENDING = "sending"
    """The response waits for the client to take it, or what is said instead of one is made."""
    LINGER = "linger"
    """The last response is sent; what the client still sends is discarded (RFC 9112, 9.6)."""
    CLOSED = "closed"
    """The socket is closed; nothing follows."""

    # Members are singletons: identity is equality, and hashing by identity costs no Python call.
    __hash__ = object.__hash__


# A client is waited for only where a worker is the owner: see `Connection.write`.
OWNERS: Final[dict[State, Owner]] = {
    State.HANDSHAKE: Owner.MONITOR,
    State.IDLE: Owner.MONITOR,
    State.HEAD: Owner.MONITOR,
    State.BODY: Owner.MONITOR,
    State.READY: Owner.QUEUE,
    State.ACTIVE: Owner.WORKER,
    State.UPGRADED: Owner.WORKER,
    State.SENDING: Owner.MONITOR,
    State.LINGER: Owner.MONITOR,
    State.CLOSED: Owner.NOBODY,
}

TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.HANDSHAKE: frozenset({State.IDLE, State.SENDING, State.LINGER, State.CLOSED}),
    State.IDLE: frozenset(
        {State.HEAD, State.BODY, State.READY, State.SENDING, State.LINGER, State.CLOSED}
    ),
    State.HEAD: frozenset(
        {State.IDLE, State.BODY, State.READY, State.SENDING, State.LINGER, State.CLOSED}
    ),
    State.BODY: frozenset({State.READY, State.SENDING, State.LINGER, State.CLOSED}),
    State.READY: frozenset({State.ACTIVE, State.SENDING, State.LINGER, State.CLOSED}),
    State.ACTIVE: frozenset(
        {
            State.IDLE,
            State.HEAD,
            State.BODY,
            State.READY,
            State.UPGRADED,
            State.SENDING,
            State.LINGER,
            State.CLOSED,
        }
    ),
    State.UPGRADED: frozenset({State.SENDING, State.LINGER, State.CLOSED}),
    State.SENDING: frozenset(
        {State.IDLE, State.HEAD, State.BODY, State.READY, State.LINGER, State.CLOSED}
    ),
    State.LINGER: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}


def check_transition(source: State, target: State) -> None:
    """Raise `TransitionError` unless the table allows ``source`` to become ``target``."""
    if target not in TRANSITIONS[source]:
        raise TransitionError(source.value, target.value)

"""The snapshots in which a server reports what it has done and does."""

from __future__ import annotations

from dataclasses import dataclass, field

from rocket_core._connection.shared_tally import MessageCounts
from rocket_core._engine.histogram import Histogram
from rocket_core._network.address import Peer
from rocket_core._state import State


@dataclass(frozen=True, slots=True)
class SharedCounts:
    """How many connections of one kind are shared.

    Attributes:
        parked: those that hold no thread and wait for none.
        active: those for which a worker does something, or is to.
        streams: the requests that are open on all of them, as the streams of HTTP/2.
    """

    parked: int
    active: int
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """A snapshot of a server.

    Attributes:
        connections: the open connections, counted by the name of their state.
        accepted: connections accepted so far.
        requests: requests handed to a worker so far.
        turns: how many times a worker has had something to do for a shared connection so far.
        shared: the connections that are shared now, by the kind of their protocol.
        messages: the messages on shared connections so far, by that kind.
        outcomes: how the shared connections of each kind have ended so far, counted by name: see
            `SharedProtocol.outcome`. Of each kind, 64 names are told apart; the rest is "other".
        closes: connections closed so far, by the name of the reason.
        accept_errors: how many times accepting failed.
        refused: connections closed at once, because their peer is not among the proxies that the
            listener accepts.
        threads: threads of the pool.
        stalled: how many of these wait for a client, serve an upgraded connection or have exceeded
            the request time-out.
        ready: connections that wait for a worker.
        lined: requests that had to wait so far, because their client had as many served as it may.
        in_lines: how many wait so now.
        limited: requests that were refused because their client had sent too many of late.
        refused_clients: connections closed at once, because their client had too many of them, or
            opened too many.
        held: bytes held for clients that have not taken them yet.
        queue_time: seconds that exchanges were ready before a worker began to serve them.
        service_time: seconds that a worker spent on an exchange before it went on to the next.
        responses: the responses that an HTTP protocol has sent so far, by class of status: "1xx" to
            "5xx".
        own_responses: those among them that the server gave in place of the application, by status.
        service_times: the service time by the class of the response; "none" for services without
            one, such as turns of websockets, and for protocols other than HTTP.
    """

    connections: dict[str, int]
    accepted: int
    requests: int
    closes: dict[str, int]
    accept_errors: int
    refused: int
    threads: int
    stalled: int
    ready: int
    held: int
    queue_time: Histogram = field(compare=False)
    service_time: Histogram = field(compare=False)
    turns: int = 0
    responses: dict[str, int] = field(default_factory=dict)
    own_responses: dict[str, int] = field(default_factory=dict)
    service_times: dict[str, Histogram] = field(default_factory=dict, compare=False)
    shared: dict[str, SharedCounts] = field(default_factory=dict)
    messages: dict[str, MessageCounts] = field(default_factory=dict)
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    lined: int = 0
    in_lines: int = 0
    limited: int = 0
    refused_clients: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What one thread does, and for which exchange.

    Attributes:
        thread: the name of the thread, as `threading.Thread.name`.
        ident: its identifier, as `threading.Thread.ident`, the key of `sys._current_frames`.
        native_id: its identifier in the system; None before it runs.
        peer: the client of the exchange that the thread receives or serves; None: it has nothing
            to do.
        since: when the thread began with that exchange, by `time.monotonic`; 0 without one.
        state: the state of the exchange's connection; None without one.
        doing: what the worker says that it does in the exchange, see `Worker.doing`; empty while it
            receives.
    """

    thread: str
    ident: int | None
    native_id: int | None
    peer: Peer | None
    since: float
    state: State | None
    doing: str


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What is known of one open connection.

    Attributes:
        peer: the client.
        local: the address that the client reached.
        state: what the connection waits for.
        created: when it was accepted, by `time.time`.
        requests: how many requests a worker has served on it.
        held: bytes held for the client, which has not taken them yet.
        secure: whether TLS protects the connection, or the connection between client and proxy.
        protocol: the protocol that the TLS handshake has agreed on, see `Connection`.
        kind: the kind of its protocol while it is shared; otherwise empty.
        active: whether it is shared, and a worker does something for it, or is to.
        messages: the messages on it while it is shared; otherwise None.
        streams: the requests that are open on it, as the streams of HTTP/2; None if it is not
            shared, or not for requests.
        stream_kinds: how many of these there are of each kind. Over HTTP/2 they are ``arriving``
            (the body), ``waiting`` (for a thread), ``running`` (the application), ``finishing``
            (the client has yet to take the rest), and the kinds of what goes on without a thread,
            such as ``websocket``.
    """

    peer: Peer
    local: Peer
    state: State
    created: float
    requests: int
    held: int
    secure: bool
    protocol: str = ""
    kind: str = ""
    active: bool = False
    messages: MessageCounts | None = None
    streams: int | None = None
    stream_kinds: dict[str, int] = field(default_factory=dict)

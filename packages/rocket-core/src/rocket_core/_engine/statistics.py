"""The counts of a server, and the snapshots in which it reports what it does."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from rocket_core._engine.histogram import Histogram
from rocket_core._network.address import Peer
from rocket_core._state import CloseReason, State


@dataclass(slots=True)
class Counters:
    """Counts of one thread, which alone writes them; so they need no lock.

    Attributes:
        accepted: connections accepted.
        requests: requests handed to a worker.
        closes: connections closed, by reason.
        queue_time: seconds that exchanges waited for a worker.
        service_time: seconds that a worker spent on an exchange.
    """

    accepted: int = 0
    requests: int = 0
    closes: dict[CloseReason, int] = field(default_factory=dict)
    queue_time: Histogram = field(default_factory=Histogram)
    service_time: Histogram = field(default_factory=Histogram)

    def add(self, other: Counters) -> None:
        """Add the counts of ``other`` to these."""
        self.accepted += other.accepted
        self.requests += other.requests
        for reason, count in list(other.closes.items()):
            self.closes[reason] = self.closes.get(reason, 0) + count
        self.queue_time.merge(other.queue_time)
        self.service_time.merge(other.service_time)


@dataclass(frozen=True, slots=True)
class Statistics:
    """A snapshot of a server.

    Attributes:
        connections: the open connections, counted by the name of their state.
        accepted: connections accepted so far.
        requests: requests handed to a worker so far.
        closes: connections closed so far, by the name of the reason.
        accept_errors: how many times accepting failed.
        refused: connections closed at once, because their peer is not among the proxies that the
            listener accepts.
        threads: threads of the pool.
        stalled: how many of these wait for a client, serve an upgraded connection or have exceeded
            the request time-out.
        ready: connections that wait for a worker.
        held: bytes held for clients that have not taken them yet.
        queue_time: seconds that exchanges were ready before a worker began to serve them.
        service_time: seconds that a worker spent on an exchange before it went on to the next.
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
    """

    peer: Peer
    local: Peer
    state: State
    created: float
    requests: int
    held: int
    secure: bool


class Tally:
    """The counters of all threads.

    ``_lock`` guards the list and the counts of ended threads. The counts of a running thread are
    read while it writes them, so a total may lack what is being counted just now.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: list[Counters] = []
        self._ended = Counters()

    def open(self) -> Counters:
        """Return counters for a new thread, which are included from now on."""
        counters = Counters()
        self.add(counters)
        return counters

    def add(self, counters: Counters) -> None:
        """Include ``counters`` from now on."""
        with self._lock:
            self._live.append(counters)

    def close(self, counters: Counters) -> None:
        """Keep the counts of ``counters``, whose thread has ended."""
        with self._lock:
            self._live = [each for each in self._live if each is not counters]
            self._ended.add(counters)

    def total(self) -> Counters:
        """Return the sum over all threads, those that have ended included."""
        total = Counters()
        with self._lock:
            total.add(self._ended)
            for counters in self._live:
                total.add(counters)
        return total

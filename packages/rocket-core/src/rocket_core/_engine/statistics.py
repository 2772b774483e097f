"""What a server has done so far."""

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
        parked_at: when the thread last parked a connection whose response was taken at once, by
            `time.monotonic`.
    """

    accepted: int = 0
    requests: int = 0
    closes: dict[CloseReason, int] = field(default_factory=dict)
    queue_time: Histogram = field(default_factory=Histogram)
    service_time: Histogram = field(default_factory=Histogram)
    parked_at: float = 0.0

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
        refused: connections closed at once, because their peer is none of the proxies that a
            listener takes connections from.
        threads: threads of the pool.
        stalled: threads of these that wait for a client, serve an upgraded connection or overran
            the request time-out.
        ready: connections that wait for a worker.
        held: bytes held for clients that have not taken them yet.
        queue_time: seconds between the event that made a connection ready and its service.
        service_time: seconds a worker spent on a connection before it parked it.
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
    """What one thread of the pool does.

    Attributes:
        thread: its name, as `threading.Thread.name`.
        ident: its number, as `threading.Thread.ident`, by which `sys._current_frames` has it.
        native_id: the number that the system knows it by; None before it runs.
        peer: the client it receives from or serves; None: it has none.
        since: when it began with that, by `time.monotonic`; 0 when it has no client.
        state: the state of that client's connection; None when it has no client.
        doing: what its worker says it does for that client, see `Worker.doing`; empty while it
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
        state: what it waits for.
        created: when it was accepted, by `time.time`.
        requests: how many requests a worker has served on it.
        held: bytes held for the client, which has not taken them yet.
        secure: whether TLS protects it, or the way to the proxy.
    """

    peer: Peer
    local: Peer
    state: State
    created: float
    requests: int
    held: int
    secure: bool


class Tally:
    """The counters of all threads. ``_lock`` guards the list and the counts of ended threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: list[Counters] = []
        self._ended = Counters()

    def open(self) -> Counters:
        """Counters for a new thread."""
        counters = Counters()
        with self._lock:
            self._live.append(counters)
        return counters

    def close(self, counters: Counters) -> None:
        """The thread with ``counters`` has ended."""
        with self._lock:
            self._live = [each for each in self._live if each is not counters]
            self._ended.add(counters)

    def total(self) -> Counters:
        """The sum over all threads."""
        total = Counters()
        with self._lock:
            total.add(self._ended)
            for counters in self._live:
                total.add(counters)
        return total

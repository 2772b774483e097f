"""What is counted on the shared connections of a server, and on their shared streams.

That includes responses which no worker sends: any thread may give a deferred answer, and any thread
may have to answer for the server on a stream.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from rocket_core._connection.shared_turns import SharedTurns

MAX_OUTCOMES: Final = 64
"""The number of outcomes of each kind that are counted by name. Clients may choose the names."""

OTHER: Final = "other"
"""The name of all further outcomes."""


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """The messages on all connections of one kind.

    Attributes:
        received: those of clients that have arrived completely.
        sent: those that were queued for a client.
        dropped: those that were refused, because the client took too little or had just left.
    """

    received: int
    sent: int
    dropped: int


class Named(Protocol):
    """The protocol of a shared connection, as far as it is counted."""

    kind: str


class Counted(Protocol):
    """A shared connection, as far as it is counted."""

    messages_received: int
    messages_sent: int
    messages_dropped: int

    @property
    def protocol(self) -> Named:
        """What is told."""


class Sharing(Protocol):
    """A connection that may be shared."""

    @property
    def shared(self) -> Counted | None:
        """What any thread may use while it is."""


def counts_of(shared: Counted) -> MessageCounts:
    """Return the messages on one shared connection so far."""
    return MessageCounts(shared.messages_received, shared.messages_sent, shared.messages_dropped)


class SharedTally:
    """The counts of the shared connections that are over, and the sum of all.

    ``_lock`` guards them, and the moment at which a connection is not shared any more: its counts
    are among those of open connections or in this tally, so that no sum ever decreases. A message
    costs no lock of this: it is counted on its connection. A connection takes the lock twice. All
    that holds for the shared streams of connections, too, which are kept here while they are open.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: dict[str, MessageCounts] = {}
        self._outcomes: dict[str, dict[str, int]] = {}
        self._streams: set[SharedTurns] = set()
        self._responses: dict[int, int] = {}
        self._own_responses: dict[int, int] = {}

    def open_stream(self, stream: SharedTurns) -> None:
        """Begin to count on ``stream``. Any thread may call this."""
        with self._lock:
            self._streams.add(stream)

    def close_stream(self, stream: SharedTurns) -> None:
        """End that. The counts of ``stream`` do not change any more. Any thread may call this."""
        with self._lock:
            self._streams.discard(stream)
            _add(self._messages, stream)

    def streams(self) -> list[SharedTurns]:
        """Return the shared streams that are open now. Any thread may call this."""
        with self._lock:
            return list(self._streams)

    def close(self, connection: Any) -> None:
        """End the sharing of a `Connection`, whose counts do not change any more.

        Its owner calls this.
        """
        with self._lock:
            _add(self._messages, connection.shared)
            connection.shared = None

    def count_outcome(self, kind: str, outcome: str) -> None:
        """Count how a connection of ``kind`` has ended. Any thread may call this."""
        if not kind:
            return
        with self._lock:
            counts = self._outcomes.setdefault(kind, {})
            if outcome not in counts and len(counts) >= MAX_OUTCOMES:
                outcome = OTHER
            counts[outcome] = counts.get(outcome, 0) + 1

    def count_response(self, status: int, *, own: bool = False) -> None:
        """Count a response with the status code ``status``. Any thread may call this.

        ``own``: the server gave it in place of the application.
        """
        with self._lock:
            self._responses[status] = self._responses.get(status, 0) + 1
            if own:
                self._own_responses[status] = self._own_responses.get(status, 0) + 1

    def responses(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return how many responses were counted by status code, and how many are the server's own.

        Any thread may call this.
        """
        with self._lock:
            return dict(self._responses), dict(self._own_responses)

    def messages(self, connections: Iterable[Sharing]) -> dict[str, MessageCounts]:
        """Return the counts by kind, given the open ``connections``. Any thread may call this."""
        with self._lock:
            found = dict(self._messages)
            for stream in self._streams:
                _add(found, stream)
            for each in connections:
                shared = each.shared
                if shared is not None:
                    _add(found, shared)
        return found

    def outcomes(self) -> dict[str, dict[str, int]]:
        """Return how many connections have ended, by kind and outcome. Any thread may call this."""
        with self._lock:
            return {kind: dict(counts) for kind, counts in self._outcomes.items()}


def _add(counts: dict[str, MessageCounts], shared: Counted) -> None:
    kind = shared.protocol.kind
    if not kind:
        return
    before, more = counts.get(kind, _NONE), counts_of(shared)
    counts[kind] = MessageCounts(
        before.received + more.received, before.sent + more.sent, before.dropped + more.dropped
    )


_NONE: Final = MessageCounts(0, 0, 0)

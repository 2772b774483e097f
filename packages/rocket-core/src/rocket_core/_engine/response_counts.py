"""What a worker counts of its responses, where the protocol is HTTP."""

from __future__ import annotations

from typing import Final

from rocket_core._engine.histogram import Histogram

CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
"""The classes of status codes (RFC 9110, section 15)."""

NO_RESPONSE: Final = "none"
"""Stands for a class where a worker has sent no response."""


class ResponseCounts:
    """The responses of one thread, which alone writes them; so they need no lock.

    A worker has an instance of its own as `Worker.responses`. For each response that it sends it
    adds one in ``sent`` at the first digit of the status code, and writes that digit to
    ``sent[0]``, which no status code has. Both are in one list, which code of any package reaches
    at no more than the cost of an index: an attribute of a class that another package has compiled
    costs several times as much.

    Attributes:
        sent: the responses sent, by the first digit of the status code; at index 0 the digit of
            the latest response of the present service, and 0 as long as there is none. The thread
            sets that back after each service.
        own: the responses that the server gave in place of the application, by status code. They
            are among those of ``sent``.
        times: the seconds that the thread spent on an exchange, by the first digit of the status
            code of its last response; 0 for none.
        adders: what adds a time to these, by that digit.
    """

    __slots__ = ("adders", "own", "sent", "times")

    def __init__(self) -> None:
        self.sent: Final = [0] * 10
        self.own: Final[dict[int, int]] = {}
        times = [Histogram() for _ in range(1 + len(CLASSES))]
        # Clients take a status code from 600 on for one from 500 on (RFC 9110, section 15).
        self.times: Final = [*times, times[5], times[5], times[5], times[5]]
        self.adders: Final = [each.add for each in self.times]

    def count_own(self, status: int) -> None:
        """Count a response with ``status`` that the server has sent in place of the application."""
        self.sent[status // 100] += 1
        self.note_own(status)

    def note_own(self, status: int) -> None:
        """Note that a response, which is counted otherwise, was the server's own."""
        self.own[status] = self.own.get(status, 0) + 1

    def add_shared(self, responses: dict[int, int], own: dict[int, int]) -> None:
        """Add what was counted by status code elsewhere, as `SharedTally.responses` returns it."""
        for status, count in responses.items():
            self.sent[status // 100] += count
        for status, count in own.items():
            self.own[status] = self.own.get(status, 0) + count

    def add(self, other: ResponseCounts) -> None:
        """Add the counts of ``other`` to these."""
        for digit, count in enumerate(other.sent[1:], 1):
            self.sent[digit] += count
        for status, count in list(other.own.items()):
            self.own[status] = self.own.get(status, 0) + count
        for digit in range(6):
            self.times[digit].merge(other.times[digit])

    def by_class(self) -> dict[str, int]:
        """Return the number of responses of each class."""
        sent = self.sent
        return dict(zip(CLASSES, [*sent[1:5], sum(sent[5:])], strict=True))

    def own_by_status(self) -> dict[str, int]:
        """Return the number of the server's own responses by status code."""
        return {str(status): count for status, count in sorted(self.own.items())}

    def times_by_class(self) -> dict[str, Histogram]:
        """Return the times by class, and those of services without a response."""
        return dict(zip((NO_RESPONSE, *CLASSES), self.times, strict=False))

    def all_times(self) -> Histogram:
        """Return the times of all services."""
        found = Histogram()
        for digit in range(6):
            found.merge(self.times[digit])
        return found

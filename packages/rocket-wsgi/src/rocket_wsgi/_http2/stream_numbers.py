"""Which streams of a connection have begun, and how those that are forgotten ended.

A new stream has a higher number than all before it (RFC 9113, section 5.1.1). Numbers that were
left out are closed, as if they had never been used. Of streams that have ended, only resets are
remembered, and only the latest: all others have ended on both sides.
"""

from __future__ import annotations

from typing import Final

from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.faults import SessionError
from rocket_wsgi._http2.frames import STREAM_MASK
from rocket_wsgi._http2.limits import MAX_CLOSED
from rocket_wsgi._http2.stream import End

_MAX_SKIPPED: Final = 32
"""Gaps in the numbers that are remembered. The usual clients leave none."""


class StreamNumbers:
    """The numbers that a client has used.

    Attributes:
        last: the highest number of a stream that has begun.
        last_served: the highest number that is served, now or later.
    """

    __slots__ = ("_resets", "_skipped", "last", "last_served")

    def __init__(self) -> None:
        self.last = 0
        self.last_served = STREAM_MASK
        self._resets: dict[int, End] = {}
        self._skipped: list[tuple[int, int]] = []

    def begin(self, number: int) -> None:
        """Note that a stream begins, whose number is higher than ``last``."""
        if number > self.last + 2:
            self._skipped.append((self.last + 1, number - 1))
            del self._skipped[:-_MAX_SKIPPED]
        self.last = number

    def check(self, number: int) -> None:
        """Raise `SessionError` for the number of a stream that has not begun."""
        if number > self.last or not number & 1:
            raise SessionError(
                ErrorCode.PROTOCOL_ERROR, "a frame is for a stream that has not begun"
            )

    def check_head(self, number: int) -> None:
        """Raise `SessionError` for the number of a new stream if it was left out before."""
        for low, high in self._skipped:
            if low <= number <= high:
                raise SessionError(
                    ErrorCode.PROTOCOL_ERROR, "the number of a new stream is too low"
                )

    def reset(self, number: int, end: End) -> None:
        """Note how a stream was reset that is forgotten."""
        self._resets[number] = end
        if len(self._resets) > MAX_CLOSED:
            del self._resets[next(iter(self._resets))]

    def end(self, number: int) -> End:
        """Return how a stream has ended that is forgotten."""
        return self._resets.get(number, End.COMPLETE)

"""The order in which the bodies of responses are sent (RFC 9218, section 10).

The most urgent streams come first. Among equals, a response of which the client can use no part is
sent whole before the next one, in the order of the requests; those that can be used in part take
turns, frame by frame, and take turns with the former.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocket_wsgi._http2.stream import Stream


class _Level:
    """The streams of one urgency."""

    __slots__ = ("alone", "shared", "turn")

    def __init__(self) -> None:
        self.alone: dict[int, Stream] = {}
        """Those that are sent one after another."""
        self.shared: dict[int, Stream] = {}
        """Those that take turns; the next one is the first."""
        self.turn = False
        """Whether one of ``shared`` is next, if there are both kinds."""


class Scheduler:
    """The streams whose body may be sent, as far as they are concerned.

    Attributes:
        levels: the streams of each urgency that has any, so that it is empty if no stream is here.
            It stays the same object.
    """

    __slots__ = ("levels",)

    def __init__(self) -> None:
        self.levels: dict[int, _Level] = {}

    def clear(self) -> None:
        """Remove all streams."""
        self.levels.clear()

    def add(self, stream: Stream) -> None:
        """Add a stream; it may be there already."""
        level = self.levels.get(stream.urgency)
        if level is None:
            level = self.levels[stream.urgency] = _Level()
        streams = level.shared if stream.incremental else level.alone
        streams[stream.number] = stream

    def remove(self, stream: Stream) -> bool:
        """Remove a stream; return whether it was there."""
        level = self.levels.get(stream.urgency)
        if level is None:
            return False
        streams = level.shared if stream.incremental else level.alone
        if streams.pop(stream.number, None) is None:
            return False
        if not level.alone and not level.shared:
            del self.levels[stream.urgency]
        return True

    def next(self) -> Stream:
        """Return the stream whose frame is to be sent next. There must be one."""
        level = self.levels[min(self.levels)]
        if level.shared and (level.turn or not level.alone):
            level.turn = False
            number = next(iter(level.shared))
            stream = level.shared.pop(number)
            level.shared[number] = stream  # behind the others
            return stream
        level.turn = True
        return level.alone[min(level.alone)]

    def prioritize(self, stream: Stream, urgency: int, incremental: bool) -> None:
        """Give a stream another priority, whether it is here or not."""
        waits = self.remove(stream)
        stream.urgency = urgency
        stream.incremental = incremental
        if waits:
            self.add(stream)

"""The streams of whose client something is expected, and by when."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocket_wsgi._http2.stream import Stream


class PacedStreams:
    """Streams whose request arrives, or whose response has to wait for the client."""

    __slots__ = ("_streams",)

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}

    @property
    def deadline(self) -> float:
        """When the next client is too slow with a stream; infinite if none is waited for."""
        return min(map(_deadline, self._streams.values()), default=inf)

    def add(self, stream: Stream) -> None:
        """Look after a stream; it may be there already."""
        self._streams[stream.number] = stream

    def remove(self, stream: Stream) -> None:
        """Look no longer after a stream, if it is there."""
        self._streams.pop(stream.number, None)

    def late(self, now: float) -> list[Stream]:
        """Return the streams with which the client is too slow at ``now``."""
        return [stream for stream in self._streams.values() if _deadline(stream) <= now]


def _deadline(stream: Stream) -> float:
    """Return when the client is too slow with a stream."""
    due = inf
    if stream.incoming is not None and stream.window_in > 0:
        due = stream.incoming.deadline
    if stream.outgoing is not None and stream.blocked:
        due = min(due, stream.outgoing.deadline)
    return due

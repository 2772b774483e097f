"""The streams of whose client something is expected, and by when."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rocket_core.extending import Transfer
    from rocket_wsgi._http2.stream import Stream


class PacedStreams:
    """Streams whose request arrives, or whose response has to wait for the client.

    Attributes:
        streams: the streams by their numbers. It stays the same object.
    """

    __slots__ = ("streams",)

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}

    @property
    def deadline(self) -> float:
        """When the next client is too slow with a stream; infinite if none is waited for."""
        return min(map(_deadline, self.streams.values()), default=inf)

    def add(self, stream: Stream) -> None:
        """Look after a stream; it may be there already."""
        self.streams[stream.number] = stream

    def remove(self, stream: Stream) -> None:
        """Look no longer after a stream, if it is there."""
        self.streams.pop(stream.number, None)

    def pause(self, now: float) -> None:
        """Let the clients' time stand still from ``now`` on, because nothing is read."""
        for stream in self.streams.values():
            for transfer in _running(stream):
                transfer.pause(0, now)

    def resume(self, now: float) -> None:
        """Let it go on at ``now``."""
        for stream in self.streams.values():
            for transfer in _running(stream):
                transfer.resume(now)

    def late(self, now: float) -> list[Stream]:
        """Return the streams with which the client is too slow at ``now``."""
        return [stream for stream in self.streams.values() if _deadline(stream) <= now]


def _running(stream: Stream) -> Iterator[Transfer]:
    """Yield the transfers of a stream in which it is the client's move."""
    if stream.incoming is not None and stream.window_in > 0:
        yield stream.incoming
    if stream.outgoing is not None and stream.blocked:
        yield stream.outgoing


def _deadline(stream: Stream) -> float:
    """Return when the client is too slow with a stream."""
    return min((transfer.deadline for transfer in _running(stream)), default=inf)

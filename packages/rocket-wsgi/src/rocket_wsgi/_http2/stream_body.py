"""The bodies of requests that the application reads while they arrive."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rocket_wsgi._http2.http2_exchange import HTTP2Exchange


class StreamedBody:
    """Where the parts of such a body wait: in their exchange. A store, as far as one is needed.

    Attributes:
        size: the number of bytes so far.
    """

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def add(self, data: bytes) -> None:
        """Count ``data``."""
        self.size += len(data)

    def close(self) -> None:
        """Do nothing: the exchange ends with the request."""


class StreamBody(io.RawIOBase):
    """A request body as an unbuffered file, whose methods wait for the client.

    Reading raises `ClientGone` if the client resets the stream or is too slow, and `OSError` if the
    body is too long.
    """

    def __init__(self, exchange: HTTP2Exchange) -> None:
        self._exchange = exchange

    def readable(self) -> bool:
        """Return true, because the stream can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read up to the size of ``buffer``; return the number of bytes, 0 at the end."""
        lease = self._exchange.lease
        if lease is None:
            return self._read(buffer)
        with lease.use():
            return self._read(buffer)

    def _read(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._exchange.protocol.read_body(self._exchange, len(view))
        view[: len(data)] = data
        return len(data)

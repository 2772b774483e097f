"""Request bodies that the application reads as they arrive."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from rocket_core import ClientGone
from rocket_core.http1 import HeadError

if TYPE_CHECKING:
    from rocket_core import Connection
    from rocket_wsgi._http1.body_decoder import ChunkedBody, LengthBody
    from rocket_wsgi._http1.request import Request


class BodyBuffer:
    """Keeps what has been taken from the connection until the application reads it.

    Attributes:
        size: bytes added so far.
    """

    __slots__ = ("_data", "size")

    def __init__(self) -> None:
        self._data = bytearray()
        self.size = 0

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        """Append."""
        self.size += len(data)
        self._data += data

    def move_into(self, view: memoryview) -> int:
        """Move as much as there is, and ``view`` takes; how many bytes that were."""
        count = min(len(view), len(self._data))
        view[:count] = self._data[:count]
        del self._data[:count]
        return count

    def close(self) -> None:
        """Drop everything."""
        self._data.clear()


class BodyStream(io.RawIOBase):
    """A request body as an unbuffered file, which waits for the client.

    Reading raises `ClientGone` when the client leaves or is too slow, and `OSError` when what it
    sends is malformed.
    """

    def __init__(
        self,
        connection: Connection,
        request: Request,
        body: LengthBody | ChunkedBody,
        passage: BodyBuffer,
    ) -> None:
        self._connection = connection
        self._request = request
        self._body = body
        self._passage = passage
        self._waited_until: float | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read up to the size of ``buffer``; 0 at the end of the body."""
        lease = self._connection.lease
        if lease is None:
            return self._read(buffer)
        with lease.use():
            return self._read(buffer)

    def _read(self, buffer: Any) -> int:
        while not self._passage and not self._take():
            self._wait()
        return self._passage.move_into(memoryview(buffer).cast("B"))

    def _wait(self) -> None:
        connection = self._connection
        if self._request.expects:
            self._request.expects = False
            connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        now = time.monotonic()
        if self._waited_until is None:
            connection.begin_transfer(now)
        else:
            connection.put_off(now - self._waited_until)
        count = connection.fill_waiting()
        self._waited_until = time.monotonic()
        if not count:
            raise ClientGone("the client left in the midst of its request")

    def _take(self) -> bool:
        """Take what has arrived; whether there is something to read, or the end."""
        try:
            complete = self._body.complete or self._body.take(self._connection)
        except HeadError as error:
            raise OSError(f"malformed request body: {error.reason}") from error
        return complete or len(self._passage) > 0

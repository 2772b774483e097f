"""The bodies of requests that the application reads while they arrive."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from rocket_core import ClientGone
from rocket_core.http1 import HeadError
from rocket_wsgi._http1.http1_response import CONTINUE

if TYPE_CHECKING:
    from rocket_core import Connection
    from rocket_wsgi._http1.body_decoder import ChunkedBody, LengthBody
    from rocket_wsgi._http1.http1_request import HTTP1Request


class BodyBuffer:
    """A store for bytes that were received, and that the application has not read yet.

    Attributes:
        size: the number of bytes added so far.
    """

    __slots__ = ("_data", "size")

    def __init__(self) -> None:
        self._data = bytearray()
        self.size = 0

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        """Append ``data``."""
        self.size += len(data)
        self._data += data

    def move_into(self, view: memoryview) -> int:
        """Move bytes into ``view`` until it is full or nothing is left; return their number."""
        count = min(len(view), len(self._data))
        view[:count] = self._data[:count]
        del self._data[:count]
        return count

    def close(self) -> None:
        """Discard all bytes."""
        self._data.clear()


class BodyStream(io.RawIOBase):
    """A request body as an unbuffered file, whose methods wait for the client.

    Reading raises `ClientGone` if the client disconnects or is too slow, and `OSError` if the body
    is malformed.
    """

    def __init__(
        self,
        connection: Connection,
        request: HTTP1Request,
        body: LengthBody | ChunkedBody,
        buffer: BodyBuffer,
    ) -> None:
        """Read from ``connection``. ``body`` decodes into ``buffer``, which must be its store."""
        self._connection = connection
        self._request = request
        self._body = body
        self._buffer = buffer

    def readable(self) -> bool:
        """Return true, because the stream can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read up to the size of ``buffer``; return the number of bytes, 0 at the end."""
        lease = self._connection.lease
        if lease is None:
            return self._read(buffer)
        with lease.use():
            return self._read(buffer)

    def _read(self, buffer: Any) -> int:
        while not self._buffer and not self._take():
            self._wait()
        return self._buffer.move_into(memoryview(buffer).cast("B"))

    def _wait(self) -> None:
        connection = self._connection
        if self._request.expects:
            self._request.expects = False
            connection.write(CONTINUE)
        connection.resume_transfer(time.monotonic())
        if not connection.fill_waiting():
            raise ClientGone("the client disconnected before its request was complete")

    def _take(self) -> bool:
        """Take the part that has arrived; whether reading can go on, with bytes or with the end."""
        try:
            complete = self._body.complete or self._body.take(self._connection)
        except HeadError as error:
            raise OSError(f"malformed request body: {error.reason}") from error
        return complete or len(self._buffer) > 0

"""Response heads as HTTP/1.1 encodes them (RFC 9112, sections 4 and 5)."""

from __future__ import annotations

from typing import Any, Final

from rocket_wsgi._clock import Clock
from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._response.response_head import (
    DATE,
    DATE_AND_SERVER,
    SERVER_FIELD,
    ResponseHead,
)

CHUNKS: Final = -1
"""What `EncodedHead.encode_usual` takes for the length of a body that is sent in chunks."""


class EncodedHead(ResponseHead):
    """A response head in few pieces of bytes. Belongs to one thread.

    Attributes:
        start: the status line and the application's fields, without Content-Length, which the
            framing adds.
    """

    __slots__ = (
        "_usual",
        "_usual_fields",
        "_usual_keeps",
        "_usual_length",
        "_usual_start",
        "start",
    )

    def __init__(self, status: Any, headers: Any) -> None:
        """Check and encode the arguments of ``start_response``. Raises `ApplicationError`."""
        super().__init__(status, headers)
        lines = [f"HTTP/1.1 {status}\r\n"]
        lines += [
            f"{name}: {value}\r\n"
            for name, value in headers
            if self.length is None or name.lower() != "content-length"
        ]
        try:
            self.start = "".join(lines).encode("latin-1")
        except UnicodeEncodeError as error:
            raise ApplicationError(f"a header is not latin-1: {error.object!r}") from error
        self.size = len(self.start)
        self._usual = self._usual_fields = self._usual_start = b""
        self._usual_length = 0
        self._usual_keeps = True

    def encode(self, ending: bytes, clock: Clock) -> bytes:
        """Return the bytes of the head. ``ending`` has the last fields and the empty line."""
        clock.update()
        lacks = self.lacks
        if lacks == DATE_AND_SERVER:
            return self.start + clock.fields + ending
        if lacks & DATE:
            return self.start + clock.date + ending
        if lacks & SERVER_FIELD:
            return self.start + clock.server_line + ending
        return self.start + ending

    def encode_usual(self, length: int, clock: Clock, keeps: bool) -> bytes:
        """Return the bytes of the head of ``length`` bytes of body, for HTTP/1.1.

        ``length`` is `CHUNKS` for a body in chunks. ``keeps`` tells whether another request may
        follow on the connection.

        Most heads are like that, and many are sent again within the same second, with a body of
        the same length. Therefore the latest bytes are remembered.
        """
        clock.update()
        fields = clock.fields
        if fields is not self._usual_fields:
            self._usual_fields = fields
            self._usual_start = self.encode(b"", clock)
        elif length == self._usual_length and keeps == self._usual_keeps:
            return self._usual
        self._usual_length = length
        self._usual_keeps = keeps
        start = self._usual_start
        ending = b"\r\n" if keeps else b"Connection: close\r\n\r\n"
        if length == CHUNKS:
            self._usual = start + b"Transfer-Encoding: chunked\r\n" + ending
        else:
            self._usual = start + b"Content-Length: %d\r\n%b" % (length, ending)
        return self._usual

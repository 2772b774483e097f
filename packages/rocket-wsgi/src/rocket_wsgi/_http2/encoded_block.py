"""Response heads as HTTP/2 encodes them (RFC 9113, section 8.3.2)."""

from __future__ import annotations

from typing import Any, Final

from rocket_wsgi._clock import Clock
from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._http2.hpack_encoder import encode_fields, encode_once, encode_response
from rocket_wsgi._response.response_head import DATE, SERVER_FIELD, ResponseHead

_DATE_NAME: Final = len(b"Date: ")
_LINE_END: Final = len(b"\r\n")

NO_LENGTH: Final = -1
"""What `EncodedBlock.encode` takes where no Content-Length is sent."""


class EncodedBlock(ResponseHead):
    """A response head as a field block. Belongs to one thread.

    Attributes:
        start: the status and the application's fields, without Content-Length.
    """

    __slots__ = ("_date", "_latest", "_latest_length", "_second", "start")

    def __init__(self, status: Any, headers: Any) -> None:
        """Check and encode the arguments of ``start_response``. Raises `ApplicationError`."""
        super().__init__(status, headers)
        fields = headers
        if self.length is not None:
            fields = [field for field in headers if field[0].lower() != "content-length"]
        try:
            self.start = encode_response(self.status, fields)
        except UnicodeEncodeError as error:
            raise ApplicationError(f"a header is not latin-1: {error.object!r}") from error
        self.size = len(self.start)
        self._second = b""
        """The field line of ``Date`` of which ``_date`` was made."""
        self._date = b""
        """The server's own fields."""
        self._latest = b""
        self._latest_length = NO_LENGTH

    def encode(self, length: int, clock: Clock) -> bytes:
        """Return the block of a response whose Content-Length is ``length``, or `NO_LENGTH`.

        Many are sent again within the same second, so the latest one is remembered.
        """
        clock.update()
        if clock.date is not self._second:
            self._second = clock.date
            self._date = self._own_fields(clock)
        elif length == self._latest_length:
            return self._latest
        self._latest_length = length
        block = self.start + self._date
        if length != NO_LENGTH:
            block += encode_once("content-length", str(length))
        self._latest = block
        return block

    def _own_fields(self, clock: Clock) -> bytes:
        fields = b""
        if self.lacks & DATE:
            fields = encode_once("date", clock.date[_DATE_NAME:-_LINE_END].decode())
        if self.lacks & SERVER_FIELD and clock.server:
            fields += encode_once("server", clock.server)
        return fields


def encode_hints(headers: list[tuple[str, str]]) -> bytes:
    """Return the block of a 103 response, whose fields were checked."""
    return encode_once(":status", "103") + encode_fields(headers)

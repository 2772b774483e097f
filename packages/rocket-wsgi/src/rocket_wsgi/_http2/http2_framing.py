"""The rest of responses, and late responses, as HTTP/2 has them (RFC 9113, section 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_wsgi._clock import Clock
from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._http2.encoded_block import NO_LENGTH, EncodedBlock
from rocket_wsgi._push.framing import Framing

if TYPE_CHECKING:
    from rocket_wsgi._http2.http2_request import HTTP2Request
    from rocket_wsgi._types import Headers


class HTTP2Framing(Framing):
    """What follows on streams that are alike in what matters here."""

    __slots__ = ("_body",)

    def __init__(self, *, body: bool) -> None:
        """Frame for any request; ``body`` is false for HEAD."""
        self._body = body

    def part(self, data: bytes) -> bytes:
        """Return the data as it is: frames are made when it is sent."""
        return data

    def end(self) -> bytes:
        """Return nothing: the last frame has a flag."""
        return b""

    def whole(
        self, status: str, fields: Headers, body: bytes, *, keep_alive: bool
    ) -> tuple[list[bytes], int]:
        """Return the field block of the head, and the body, with its size."""
        del keep_alive
        head = EncodedBlock(status, fields)
        length = len(body)
        if head.bodiless:
            length = NO_LENGTH
        elif head.length is not None and not self._body:
            length = head.length
        block = head.encode(length, Clock())
        if head.bodiless or not self._body or not body:
            return [block], 0
        return [block, body], len(body)

    def check(self, status: str, fields: Headers, size: int) -> None:
        """Check the arguments of `whole`. Raises `ApplicationError`."""
        announced = EncodedBlock(status, fields).length
        if announced is not None and announced != size and self._body:
            raise ApplicationError(f"Content-Length is {announced}, and the body has {size} bytes")


_FRAMINGS: Final = {body: HTTP2Framing(body=body) for body in (False, True)}


def framing_for(request: HTTP2Request) -> HTTP2Framing:
    """Return how the rest of the response to ``request`` is framed."""
    return _FRAMINGS[request.method != "HEAD"]

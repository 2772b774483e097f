"""The rest of responses, and late responses, as HTTP/2 has them (RFC 9113, section 8.1)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rocket_wsgi._clock import SERVER, Clock
from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._http2.encoded_block import NO_LENGTH, EncodedBlock
from rocket_wsgi._push.framing import Framing

if TYPE_CHECKING:
    from rocket_wsgi._http2.http2_request import HTTP2Request
    from rocket_wsgi._types import Headers


class HTTP2Framing(Framing):
    """What follows on streams that are alike in what matters here."""

    __slots__ = ("_body", "_server")

    def __init__(self, *, body: bool, server: str = SERVER) -> None:
        """Frame for any request; ``body`` is false for HEAD.

        ``server`` is the name of the server, as `Clock` takes it.
        """
        self._body = body
        self._server = server

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
        block = head.encode(length, Clock(self._server))
        if head.bodiless or not self._body or not body:
            return [block], 0
        return [block, body], len(body)

    def check(self, status: str, fields: Headers, size: int) -> None:
        """Check the arguments of `whole`. Raises `ApplicationError`."""
        announced = EncodedBlock(status, fields).length
        if announced is not None and announced != size and self._body:
            raise ApplicationError(f"Content-Length is {announced}, and the body has {size} bytes")


def framing_for(request: HTTP2Request, server: str) -> HTTP2Framing:
    """Return how the rest of the response to ``request``, by ``server``, is framed."""
    return _framing_for(request.method != "HEAD", server)


@cache  # one for all parked responses that are alike
def _framing_for(body: bool, server: str) -> HTTP2Framing:
    return HTTP2Framing(body=body, server=server)

"""The rest of responses, and late responses, as HTTP/1.1 frames them (RFC 9112)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rocket_wsgi._clock import SERVER, Clock
from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._http1.encoded_head import EncodedHead
from rocket_wsgi._push.framing import Framing

if TYPE_CHECKING:
    from rocket_wsgi._http1.http1_request import HTTP1Request
    from rocket_wsgi._types import Headers


class HTTP1Framing(Framing):
    """What follows for requests that are alike in what matters here."""

    __slots__ = ("_body", "_modern", "_server")

    def __init__(self, *, modern: bool, body: bool, server: str = SERVER) -> None:
        """Frame for HTTP/1.1, if ``modern``, or HTTP/1.0; ``body`` is false for HEAD.

        ``server`` is the name of the server, as `Clock` takes it.
        """
        self._modern = modern
        self._body = body
        self._server = server

    def part(self, data: bytes) -> bytes:
        """Return a chunk, or for HTTP/1.0 the data as it is."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self._modern else data

    def end(self) -> bytes:
        """Return the last chunk; for HTTP/1.0 the end of the connection is that of the body."""
        return b"0\r\n\r\n" if self._modern else b""

    def whole(
        self, status: str, fields: Headers, body: bytes, *, keep_alive: bool
    ) -> tuple[list[bytes], int]:
        """Return a whole response in one piece, and the size of its body."""
        head = EncodedHead(status, fields)
        if head.bodiless:
            ending = b""
        elif head.length is not None and not self._body:
            ending = b"Content-Length: %d\r\n" % head.length
        else:
            ending = b"Content-Length: %d\r\n" % len(body)
        if not keep_alive:
            ending += b"Connection: close\r\n"
        elif not self._modern:
            ending += b"Connection: keep-alive\r\n"
        data = head.encode(ending + b"\r\n", Clock(self._server))
        if head.bodiless or not self._body:
            return [data], 0
        return [data + body], len(body)

    def check(self, status: str, fields: Headers, size: int) -> None:
        """Check the arguments of `whole`. Raises `ApplicationError`."""
        announced = EncodedHead(status, fields).length
        if announced is not None and announced != size and self._body:
            raise ApplicationError(f"Content-Length is {announced}, and the body has {size} bytes")


def framing_for(request: HTTP1Request, server: str) -> HTTP1Framing:
    """Return how the rest of the response to ``request``, by ``server``, is framed."""
    return _framing_for(request.modern, request.method != "HEAD", server)


@cache  # one for all parked responses that are alike
def _framing_for(modern: bool, body: bool, server: str) -> HTTP1Framing:
    return HTTP1Framing(modern=modern, body=body, server=server)

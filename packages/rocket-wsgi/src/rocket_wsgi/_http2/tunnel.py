"""Websockets on streams: the opening handshake by an extended CONNECT (RFC 8441)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from rocket_wsgi._clock import Clock
from rocket_wsgi._http2.encoded_block import NO_LENGTH, EncodedBlock
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.http2_response import HTTP2Response
from rocket_wsgi._offers.begun import Refused
from rocket_wsgi._push.begun_websocket import BegunWebSocket, StrangeWebSocket
from rocket_wsgi._push.websocket_offer import WebSocketOffer
from rocket_wsgi._websocket.handshake import Refusal, read_opening

if TYPE_CHECKING:
    from rocket_wsgi._http2.http2_request import HTTP2Request
    from rocket_wsgi._push.websocket_offer import WebSocketDefaults
    from rocket_wsgi._types import Headers

NO_WEBSOCKET: Final = "501 Not Implemented"
"""What answers a websocket that is neither accepted nor refused."""


_NO_KEY: Final = "AAAAAAAAAAAAAAAAAAAAAA=="
"""The key of an opening handshake over HTTP/2, which has none. Libraries look for one before they
use the socket."""


class NeedsHTTP1(BaseException):
    """The application needs the socket of the connection, and the client was told so.

    It is no `Exception`, because frameworks log these, and answer them.
    """


class AbsentSocket:
    """Stands for the socket of the connection, which no application can have over HTTP/2.

    Libraries such as `simple_websocket` look for it as ``werkzeug.socket``, and clients cannot know
    that. When a library uses it, the stream is reset with HTTP_1_1_REQUIRED (RFC 9113, section 7).
    Browsers then open the websocket once more over HTTP/1.1, where there is a socket. All methods
    raise `NeedsHTTP1`.
    """

    __slots__ = ("_response",)

    def __init__(self, response: TunnelResponse) -> None:
        """Stand for the socket in the environ of the request that ``response`` answers."""
        self._response = response

    def fileno(self, *_: object) -> NoReturn:
        """Require HTTP/1.1."""
        self._require()

    def recv(self, *_: object) -> NoReturn:
        """Require HTTP/1.1."""
        self._require()

    def recv_into(self, *_: object) -> NoReturn:
        """Require HTTP/1.1."""
        self._require()

    def send(self, *_: object) -> NoReturn:
        """Require HTTP/1.1."""
        self._require()

    def sendall(self, *_: object) -> NoReturn:
        """Require HTTP/1.1."""
        self._require()

    def settimeout(self, *_: object) -> NoReturn:
        """Require HTTP/1.1."""
        self._require()

    def setblocking(self, *_: object) -> NoReturn:
        """Require HTTP/1.1."""
        self._require()

    def _require(self) -> NoReturn:
        self._response.require_http1()
        raise NeedsHTTP1("the application needs the socket of a connection of HTTP/1.1")


class TunnelResponse(HTTP2Response):
    """The response to an extended CONNECT.

    A status of the 2xx kind completes the handshake, so that the client takes what follows for
    frames of the websocket (section 5). Over HTTP/1.1 only 101 does, and a view that knows of no
    websocket may answer 200. Here such an answer is replaced.
    """

    def require_http1(self) -> None:
        """Have the client ask again over HTTP/1.1. Nothing can be sent after that."""
        self._protocol.break_off(self._exchange, ErrorCode.HTTP_1_1_REQUIRED)

    def encode_opened(self, fields: Headers) -> bytes:
        """Return the block of the response that completes the handshake."""
        clock = Clock(self._heads.clock.server)  # any thread may call this
        return EncodedBlock("200 OK", fields).encode(NO_LENGTH, clock)

    def _commit(self, length: int | None) -> int | None:
        started = self._started
        if (
            started is not None
            and str(started[0]).startswith("2")
            and not isinstance(self.begun, BegunWebSocket | StrangeWebSocket)
        ):
            raise Refused(NO_WEBSOCKET, "the application accepts no websocket here")
        return super()._commit(length)


def offer_websocket(
    request: HTTP2Request,
    response: TunnelResponse,
    defaults: WebSocketDefaults,
) -> None:
    """Offer the websocket that ``request`` asks for, as `offer_upgrade` does over HTTP/1.1.

    Raises `Refused` for an opening handshake that is not valid.
    """
    environ = request.environ
    opening = read_opening(environ, modern=True, body=False, keyed=False)
    if isinstance(opening, Refusal):
        raise Refused(opening.status, opening.message, opening.fields)
    if opening is not None:
        environ["rocket.websocket"] = WebSocketOffer(
            opening, request, response.begin, response.encode_opened, defaults
        )
        environ["werkzeug.socket"] = AbsentSocket(response)
        environ.setdefault("HTTP_SEC_WEBSOCKET_KEY", _NO_KEY)

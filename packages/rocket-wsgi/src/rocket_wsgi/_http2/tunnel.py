"""Websockets on streams: the opening handshake by an extended CONNECT (RFC 8441)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_wsgi._clock import Clock
from rocket_wsgi._http2.encoded_block import NO_LENGTH, EncodedBlock
from rocket_wsgi._http2.http2_response import HTTP2Response
from rocket_wsgi._offers.begun import Refused
from rocket_wsgi._push.begun_websocket import BegunWebSocket, StrangeWebSocket
from rocket_wsgi._push.websocket_offer import WebSocketOffer
from rocket_wsgi._websocket.handshake import Refusal, read_opening

if TYPE_CHECKING:
    from rocket_wsgi._http2.http2_request import HTTP2Request
    from rocket_wsgi._push.websocket_offer import WebSocketDefaults
    from rocket_wsgi._types import Headers

WEBSOCKET: Final = "websocket"
"""The only protocol that a stream may carry, as ``:protocol`` has it (section 4)."""

NO_WEBSOCKET: Final = "501 Not Implemented"
"""What answers a websocket that is neither accepted nor refused."""


class TunnelResponse(HTTP2Response):
    """The response to an extended CONNECT.

    A status of the 2xx kind completes the handshake, so that the client takes what follows for
    frames of the websocket (section 5). Over HTTP/1.1 only 101 does, and a view that knows of no
    websocket may answer 200. Here such an answer is replaced.
    """

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
    request: HTTP2Request, response: HTTP2Response, defaults: WebSocketDefaults
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
            opening, request, response.begin, _encode_opened, defaults
        )


def _encode_opened(fields: Headers) -> bytes:
    """Return the block of the response that completes the handshake."""
    return EncodedBlock("200 OK", fields).encode(NO_LENGTH, Clock())

"""Responses as HTTP/2 frames them (RFC 9113, section 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_core import ClientGone, CloseReason, State
from rocket_wsgi._errors import CancelledBy
from rocket_wsgi._http2.encoded_block import NO_LENGTH, EncodedBlock, encode_hints
from rocket_wsgi._http2.hpack_encoder import encode_fields
from rocket_wsgi._http2.http2_framing import framing_for
from rocket_wsgi._http2.http2_request import HTTP2Request
from rocket_wsgi._push.framing import Framing
from rocket_wsgi._push.offering_response import OfferingResponse
from rocket_wsgi._response.response import JOIN_BOUND, WITHHELD
from rocket_wsgi._response.response_head import check_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rocket_wsgi._http2.http2_exchange import HTTP2Exchange
    from rocket_wsgi._offers.begun import Refused
    from rocket_wsgi._response.response_head import ResponseHeads

_SHARED: Final = State.SHARED

WHOLE: Final = 16 * 1024
"""The size up to which a response is put into the session when the application is done, in one
step."""


class HTTP2Response(OfferingResponse[HTTP2Request, EncodedBlock]):
    """A response on a stream."""

    __slots__ = ("_exchange", "_protocol")

    def __init__(
        self,
        exchange: HTTP2Exchange,
        request: HTTP2Request,
        heads: ResponseHeads[EncodedBlock],
    ) -> None:
        """Respond to ``request`` on the stream of ``exchange``."""
        protocol = exchange.protocol
        OfferingResponse.__init__(self, protocol.connection, request, heads)
        self._exchange = exchange
        self._protocol = protocol
        self._lease = exchange.lease

    def __call__(self) -> bool:
        """``rocket.client_gone``: whether nothing can be sent.

        The client has reset the stream, or is gone, or the request took too long.
        """
        return self.over or self._exchange.gone or self.overtaken

    # -- for the worker --------------------------------------------------------------------------

    def before_close(self) -> None:
        """Send what there is of the response."""
        self._protocol.complete(self._exchange)

    def give_up(self) -> None:
        """End the response without its end: the stream is reset when it is released."""
        super().give_up()
        self._exchange.gone = True

    def prefers_bytes(self, size: int) -> bool:
        """Whether a body of ``size`` bytes costs less as bytes in memory than as part of a file."""
        return size <= JOIN_BOUND

    def hand_on(self) -> bool:
        """Return True: how a stream ends decides nothing about its connection."""
        self.keep_alive = False
        return True

    def take_back(self) -> None:
        """Do nothing: no stream is taken over."""

    def refuse(self, refused: Refused) -> None:
        """Send the answer of the server's own to a request that it refuses. Raises as `claim`."""
        self.send_text(refused.status, f"{refused.text}\n".encode("latin-1"), refused.fields)

    def ending(self) -> State:
        """Return SHARED: the connection goes on."""
        return _SHARED

    # -- rocket.cancelled ------------------------------------------------------------------------

    def _arrived_at(self) -> float:
        return self._exchange.arrived_at

    def watch_client(self, told: Callable[[], None], /) -> bool:
        """Return True: the owner of the connection tells, see `HTTP2Protocol`."""
        del told
        return True

    def unwatch_client(self) -> None:
        """Do nothing."""

    def find_end(self) -> CancelledBy | None:
        """Return why nothing can be sent any more; None: it can."""
        if not self._exchange.gone:
            return None
        stopped = self._connection.close_reason is CloseReason.STOPPED
        return CancelledBy.STOP if stopped else CancelledBy.CLIENT

    def _late_framing(self) -> Framing:
        return framing_for(self._request, self._heads.clock.server)

    # -- the framing -----------------------------------------------------------------------------

    def _begin(self, length: int | None) -> bytes:
        if length is not None:
            if length == WITHHELD:
                return b""
            return self._head.encode(length, self._heads.clock)
        return self._head.encode(NO_LENGTH, self._heads.clock)

    def _send_head(self, before: bytes) -> None:
        end = not self._left  # otherwise a body is announced, or something goes on
        self._protocol.write(self._exchange, before, b"", end=end, in_memory=True)
        if not end:
            self._protocol.send()

    def _send_whole(self, data: bytes, length: int) -> None:
        before = self._head.encode(length, self._heads.clock)
        exchange = self._exchange
        if len(data) == length <= WHOLE:
            if exchange.gone:
                raise ClientGone("the client has reset the stream, or is gone")
            exchange.whole = before, data
            return
        end = len(data) == length
        self._protocol.write(exchange, before, data, end=end, in_memory=True)

    def _send_part(self, before: bytes, data: bytes, in_memory: bool) -> None:
        end = not self._left and self._trailers is None
        self._protocol.write(self._exchange, before, data, end=end, in_memory=in_memory or end)
        if not end:
            self._protocol.send()

    def _send_end(self) -> None:
        if self._trailers is not None and self._left <= 0:
            self._protocol.finish(self._exchange, encode_fields(self._trailers))
        elif self._left < 0:  # otherwise the last part was the end, or the body is too short
            self._protocol.finish(self._exchange)

    def _send_file(self, before: bytes, descriptor: int, offset: int, count: int) -> None:
        spans = [(b"", offset, count)] if count else []
        complete = not self._left
        self._protocol.write_file(self._exchange, before, descriptor, spans, complete=complete)

    def _send_spans(
        self, before: bytes, descriptor: int, spans: Sequence[tuple[bytes, int, int]]
    ) -> None:
        self._protocol.write_file(self._exchange, before, descriptor, spans, complete=True)

    def _send_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        fields = check_hints(headers)
        if not fields:
            return
        if not self._protocol.inform(self._exchange, encode_hints(fields)):
            raise ClientGone("the client has reset the stream")
        self._protocol.send()

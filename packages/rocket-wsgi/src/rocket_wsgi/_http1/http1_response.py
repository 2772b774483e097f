"""Responses as HTTP/1.1 frames them (RFC 9112, sections 6 and 7)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_core import CloseReason, State
from rocket_wsgi._errors import CancelledBy
from rocket_wsgi._http1.early_hints import encode_hints
from rocket_wsgi._http1.encoded_head import CHUNKS, EncodedHead
from rocket_wsgi._http1.http1_framing import framing_for
from rocket_wsgi._http1.http1_request import HTTP1Request
from rocket_wsgi._push.framing import Framing as LateFraming
from rocket_wsgi._push.offering_response import OfferingResponse
from rocket_wsgi._response.response import JOIN_BOUND, PLAIN_TEXT, WITHHELD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rocket_wsgi._clock import Clock
    from rocket_wsgi._offers.begun import Refused
    from rocket_wsgi._own_answers import OwnAnswer
    from rocket_wsgi._types import Headers

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Asks the client to send the body (RFC 9110, section 15.2.1)."""


_UPGRADE_REQUIRED: Final = 426
"""The response has to name the protocol to upgrade to (RFC 9110, section 15.5.22)."""


_ENDS: Final[dict[CloseReason | None, CancelledBy]] = {
    CloseReason.STOPPED: CancelledBy.STOP,
    CloseReason.REQUEST_TIMEOUT: CancelledBy.TIMEOUT,
}
"""What the server itself has disconnected a client for."""


class _Framing(Enum):
    """How the client finds the end of the body (RFC 9112, section 6.3)."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


# A look-up of an attribute of an enum is expensive, and these are needed for each response.
_LENGTH: Final = _Framing.LENGTH
_CHUNKED: Final = _Framing.CHUNKED
_CLOSE: Final = _Framing.CLOSE


class HTTP1Response(OfferingResponse[HTTP1Request, EncodedHead]):
    """A response over HTTP/1.1 or HTTP/1.0."""

    __slots__ = ("_chunk_line", "_chunk_size", "_framing")

    _framing: _Framing
    """How the body ends; set with the head."""
    _chunk_size: int
    """The size of the latest chunk; set with the framing, if that is chunked."""
    _chunk_line: bytes
    """The first line of a chunk of that size: many parts of a body are of the same size."""

    # -- for the worker --------------------------------------------------------------------------

    def take_back(self) -> None:
        """End the offer of the connection to the application, or its use of the connection."""
        upgrade = self.upgrade
        if upgrade is None:
            return
        upgrade.end()
        if upgrade.taken:
            self.status = 101
            self.sent = upgrade.sent
            self.keep_alive = False

    def refuse(self, refused: Refused) -> None:
        """Send the answer of the server's own to a request that it refuses. Raises as `claim`."""
        self.keep_alive = self.keep_alive and self._request.modern
        if refused.status.startswith("426"):
            self.keep_alive = False  # so that `_begin` adds the field Upgrade
        self.send_text(refused.status, f"{refused.text}\n".encode("latin-1"), refused.fields)

    def ending(self) -> State:
        """Return SHARED if what was begun goes on, or the application is to be told of its end.

        Otherwise return LINGER if closing at once could lose a part of the response, else CLOSED.
        That is the case if the client goes on sending, because it did not ask for the end of the
        connection (RFC 9112, section 9.6). If the end of the connection is the end of the body, a
        process that the application forked could keep the connection open, which LINGER prevents.
        """
        if self.handed_over:
            return State.LINGER
        connection, request = self._connection, self._request
        if self.cut:
            connection.close_reason = CloseReason.ERROR
            if self._ends_with_connection():
                connection.break_off()
            return State.CLOSED
        if connection.shared is not None:
            return State.SHARED
        if request.keep_alive or not request.received or self._ends_with_connection():
            return State.LINGER
        return State.LINGER if connection.has_unread() else State.CLOSED

    def _ends_with_connection(self) -> bool:
        """Return whether the end of the connection is the end of the body that was sent."""
        return self.began and not self._bodiless and self._framing is _CLOSE

    # -- rocket.cancelled ------------------------------------------------------------------------

    def _arrived_at(self) -> float:
        return self._connection.claimed_at

    def watch_client(self, told: Callable[[], None], /) -> bool:
        """Have ``told`` called when the client may have left; return whether it will be."""
        connection = self._connection
        return connection.server.ends.watch_end(connection, told)

    def unwatch_client(self) -> None:
        """Undo `watch_client`."""
        connection = self._connection
        connection.server.ends.unwatch_end(connection)

    def find_end(self) -> CancelledBy | None:
        """Return why nothing can be sent any more; None: it can."""
        connection = self._connection
        if not connection.client_left():
            return None
        return _ENDS.get(connection.close_reason, CancelledBy.CLIENT)

    def _late_framing(self) -> LateFraming:
        return framing_for(self._request, self._heads.clock.server)

    def _trailers_fault(self) -> str:
        if not self._request.modern:
            return "over HTTP/1.0"
        if self.began and self._framing is _LENGTH and not self._bodiless:
            return "with Content-Length over HTTP/1.1; leave it out"
        return super()._trailers_fault()

    def _length_fault(self, head: EncodedHead) -> str:
        return "" if head.length is None else "with Content-Length over HTTP/1.1; leave it out"

    # -- the framing -----------------------------------------------------------------------------

    def _begin(self, length: int | None) -> bytes:
        head, modern = self._head, self._request.modern
        if length is not None:
            if length == WITHHELD:
                return b""
            self._framing = _LENGTH
            if modern and (self.keep_alive or self.status != _UPGRADE_REQUIRED):
                return head.encode_usual(length, self._heads.clock, self.keep_alive)
            ending = b"Content-Length: %d\r\n" % length
        elif head.bodiless:
            self._framing = _LENGTH
            ending = b""
        elif modern:
            self._framing = _CHUNKED
            self._chunk_size = -1
            return head.encode_usual(CHUNKS, self._heads.clock, self.keep_alive)
        else:
            self._framing = _CLOSE
            self.keep_alive = False
            ending = b""
        if self.status == _UPGRADE_REQUIRED and "HTTP_UPGRADE" in self._request.environ:
            ending += b"Upgrade: websocket\r\nConnection: close, upgrade\r\n"
        elif not self.keep_alive:
            ending += b"Connection: close\r\n"
        elif not modern:
            ending += b"Connection: keep-alive\r\n"
        return head.encode(ending + b"\r\n", self._heads.clock)

    def _send_head(self, before: bytes) -> None:
        self._connection.write(before)

    def _send_whole(self, data: bytes, length: int) -> None:
        if self._request.modern and (self.keep_alive or self.status != _UPGRADE_REQUIRED):
            self._framing = _LENGTH
            before = self._head.encode_usual(length, self._heads.clock, self.keep_alive)
        else:
            before = self._begin(length)
        if len(data) <= JOIN_BOUND:
            self._connection.write_rest(before + data)
        else:
            self._connection.write_rest(before)
            self._connection.write_rest(data)

    def _send_part(self, before: bytes, data: bytes, in_memory: bool) -> None:
        connection = self._connection
        size = len(data)
        if self._framing is _CHUNKED:
            if size != self._chunk_size:
                self._chunk_size = size
                self._chunk_line = b"%x\r\n" % size
            start = before + self._chunk_line if before else self._chunk_line
            if size <= JOIN_BOUND:
                # Calls of the methods themselves, and not of a variable, cost each part less.
                if in_memory:
                    connection.write_rest(b"%b%b\r\n" % (start, data))
                else:
                    connection.write(b"%b%b\r\n" % (start, data))
                return
            write = connection.write_rest if in_memory else connection.write
            write(start)
            write(data)
            write(b"\r\n")
            return
        write = connection.write_rest if in_memory else connection.write
        if before:
            if size <= JOIN_BOUND:
                data = before + data
            else:
                write(before)
        write(data)

    def _send_end(self) -> None:
        if self._framing is _CHUNKED:
            if self._trailers is not None:
                lines = "".join([f"{name}: {value}\r\n" for name, value in self._trailers])
                self._connection.write(f"0\r\n{lines}\r\n".encode("latin-1"))
                return
            self._connection.write(b"0\r\n\r\n")

    def _send_file(self, before: bytes, descriptor: int, offset: int, count: int) -> None:
        self._connection.write(before)
        self._connection.send_file(descriptor, offset, count)

    def _send_spans(
        self, before: bytes, descriptor: int, spans: Sequence[tuple[bytes, int, int]]
    ) -> None:
        (preceding, offset, count), *others = spans
        self._connection.send_spans(descriptor, [(before + preceding, offset, count), *others])

    def _send_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        data = encode_hints(headers)
        if data and self._request.modern:
            self._connection.write(data)


def encode_answer(
    answer: OwnAnswer, fields: Headers, *, body: bool, keep_alive: bool, clock: Clock
) -> bytes:
    """Return ``answer`` as a complete response, with the additional ``fields``.

    Without ``body`` it is the response to HEAD.
    """
    head = EncodedHead(answer.status, [PLAIN_TEXT, *answer.headers, *fields])
    data = answer.body
    ending = b"Content-Length: %d\r\n" % len(data)
    if not keep_alive:
        ending += b"Connection: close\r\n"
    return head.encode(ending + b"\r\n", clock) + (data if body else b"")

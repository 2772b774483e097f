"""One stream as an exchange: a request and its response, on a thread of the pool."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, final

from rocket_core import ClientGone
from rocket_core.extending import SharedRequest
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.priority import DEFAULT_URGENCY
from rocket_wsgi._own_answers import OVERDUE, OVERLOADED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rocket_core import Connection, SharedProtocol
    from rocket_core.extending import Lease
    from rocket_wsgi._http2.http2_request import HTTP2Request
    from rocket_wsgi._http2.request_head import RequestHead
    from rocket_wsgi._http2.shared_stream import SharedStream
    from rocket_wsgi._own_answers import OwnAnswer


class Stage(Enum):
    """Where an exchange is. Each stage is followed by one below it, but for AHEAD by WAITING."""

    RECEIVING = "its body arrives"
    WAITING = "it waits until it is its turn to be queued"
    QUEUED = "it is in the queue of the pool, or about to be"
    AHEAD = "it is about to be served ahead of its turn"
    SERVED = "the application runs, or what it has left is sent"
    OVER = "it is over"

    __hash__ = object.__hash__


NO_PARTS: Final[list[bytes]] = []
"""What most exchanges have. It is not changed."""

_RECEIVING: Final = Stage.RECEIVING  # a look-up of an attribute of an enum is expensive


@final
class HTTP2Exchange:
    """A stream that becomes a request of the application; a `RequestHandler` of rocket-core.

    Attributes:
        arrived_at: when the request was complete, by `time.monotonic`.
        client: see `Exchange.client` of rocket-core.
        gone: whether the client does not wait for an answer any more. Any thread may read it.
        lease: see `Exchange.lease`, while a worker serves it. It belongs to that thread.
        queue_time: seconds that it waited for a worker. Likewise.
        turn: what a worker serves, while it does. Likewise.
        protocol: the connection, as HTTP/2 has it.
        number: the number of the stream.
        order: the number of the request on its connection, from 1.
        request: the request.
        reserved: whether it is served even while all workers are busy; known once it waits.
        stage: where it is. The lock of the protocol guards it.
        ended: whether the client has ended its side of what is no request body (RFC 8441).
        whole: the response, if it is complete: its head, and its body. It belongs to the thread
            that serves the exchange.
        parts: the parts of a streamed body that the application has not read. Likewise.
        unread: the bytes of these. Likewise.
        urgency: how urgent it is while it waits, see `TurnOrder`.
        fault: why a streamed body cannot be read to its end; empty if it can. Likewise.
        shared: what goes on with the stream after the view has returned, or None. Likewise.
    """

    __slots__ = (
        "arrived_at",
        "client",
        "ended",
        "fault",
        "gone",
        "lease",
        "number",
        "order",
        "parts",
        "protocol",
        "queue_time",
        "request",
        "reserved",
        "shared",
        "stage",
        "turn",
        "unread",
        "urgency",
        "whole",
    )

    def __init__(
        self, protocol: ExchangeHost, number: int, order: int, request: HTTP2Request
    ) -> None:
        self.protocol = protocol
        self.number = number
        self.order = order
        self.request = request
        self.arrived_at = 0.0
        self.client: str | None = None
        self.gone = False
        self.lease: Lease | None = None
        self.queue_time = 0.0
        self.turn: SharedRequest | None = None
        self.reserved = False
        self.stage = _RECEIVING
        self.ended = False
        self.whole: tuple[bytes, bytes] | None = None
        self.parts: list[bytes] = NO_PARTS
        self.unread = 0
        self.urgency = DEFAULT_URGENCY
        self.fault = ""
        self.shared: SharedStream | None = None

    @property
    def connection(self) -> Connection:
        """The connection of the stream."""
        return self.protocol.connection

    def pace(self, now: float) -> float:
        """Return the rate at which the client sends the body, or takes the response."""
        return self.protocol.pace_of(self.number, now)

    def doing(self) -> str:
        """Return the method and the target."""
        return str(self.request)

    def share(self, protocol: SharedProtocol) -> SharedStream:
        """Have ``protocol`` go on with the stream when the view is done with it."""
        self.shared = shared = self.protocol.share(self, protocol)
        return shared

    # -- for the pool ----------------------------------------------------------------------------

    def queued(self) -> SharedRequest:
        """Return what is put into the queue of the pool."""
        return SharedRequest(self, self.arrived_at, self.client)

    def served(self) -> SharedRequest:
        """Return what a worker serves. Raises `ClientGone` if none does any more.

        A thread of the application may still use the request when its worker is done with it.
        """
        if self.turn is None:
            raise ClientGone("the request is over")
        return self.turn

    def follow(self) -> SharedRequest | None:
        """Return the request of the same connection to be queued next, or None."""
        following = self.protocol.next_exchange(self)
        return None if following is None else following.queued()

    def drop(self) -> None:
        """End a stream that was reset before its turn."""
        self.protocol.drop(self)

    def serve(self, worker: Any, request: SharedRequest) -> None:
        """Have ``worker``, a `WSGIWorker`, call the application."""
        self.turn = request
        self.lease = request.lease
        self.queue_time = request.queue_time
        try:
            worker.serve_stream(self)
        except ClientGone:
            pass
        finally:
            self.turn = None  # which refers to this
            self.protocol.release(self)

    def is_urgent(self, worker: Any) -> bool:
        """Return whether the request is for a file, or urgent by ``reserved``."""
        urgent: bool = worker.is_urgent(self.request)
        return urgent

    def take_urgent(self) -> SharedRequest | None:
        """Return a request of the same connection to be served ahead of its turn, or None."""
        reserved = self.protocol.take_reserved()
        return None if reserved is None else reserved.queued()

    def put_back(self) -> None:
        """Wait for the turn of the connection again."""
        self.protocol.put_back(self)

    def refuse(self) -> None:
        """Answer 503."""
        self.protocol.answer(self.number, OVERLOADED, self.request)
        self.protocol.release(self)

    def overdue(self) -> None:
        """Answer 504. The application still runs, and its stream still counts."""
        self.protocol.answer(self.number, OVERDUE, self.request)

    def break_off(self) -> None:
        """Reset the stream."""
        self.protocol.break_off(self)

    def give_way(self) -> None:
        """Reset the stream, whose client is too slow."""
        self.protocol.give_way(self)

    def failed(self) -> None:
        """Reset the stream, unless it is over: the server has failed."""
        self.protocol.break_off(self)

    def flush(self) -> None:
        """Send what was noted, or leave that to the next stream of the connection."""
        self.protocol.send_or_leave()


class ExchangeHost:
    """The connection of exchanges, as far as threads of the pool deal with it: `HTTP2Protocol`.

    Attributes:
        connection: the connection, whose methods are for its owner.
    """

    __slots__ = ("connection",)

    connection: Connection

    def take_reserved(self) -> HTTP2Exchange | None:
        """Return an exchange to be served ahead of its turn, or None. The Monitor's thread asks."""
        raise NotImplementedError

    def put_back(self, exchange: HTTP2Exchange) -> None:
        """Have an exchange wait for its turn again: nobody can serve it ahead of that."""
        raise NotImplementedError

    def next_exchange(self, exchange: HTTP2Exchange) -> HTTP2Exchange | None:
        """Return the exchange to be queued next, now that ``exchange`` is about to be served."""
        raise NotImplementedError

    def answer(
        self,
        number: int,
        answer: OwnAnswer,
        request: HTTP2Request | None,
        head: RequestHead | None = None,
    ) -> None:
        """Send an answer of the server's own, and log it. The stream is not released.

        Without a request, ``head`` has what is known of it.
        """
        raise NotImplementedError

    def drop(self, exchange: HTTP2Exchange, reason: str = "") -> None:
        """End a request that was not served, because its stream was reset.

        ``reason`` is that of the server, or empty if the client has reset the stream.
        """
        raise NotImplementedError

    def release(self, exchange: HTTP2Exchange) -> None:
        """Note that the application is done with a stream."""
        raise NotImplementedError

    def share(self, exchange: HTTP2Exchange, protocol: SharedProtocol) -> SharedStream:
        """Have ``protocol`` go on with a stream once the application is done with it."""
        raise NotImplementedError

    def pace_of(self, number: int, now: float) -> float:
        """Return the rate at which the client sends on a stream, or takes. Any thread may ask."""
        raise NotImplementedError

    def inform(self, exchange: HTTP2Exchange, block: bytes) -> bool:
        """Send an interim response; return whether it can be."""
        raise NotImplementedError

    def write(
        self, exchange: HTTP2Exchange, block: bytes, data: bytes, *, end: bool, in_memory: bool
    ) -> None:
        """Send a part of a response, behind its head if ``block`` is not empty.

        ``end`` says that it is the last one, and ``in_memory`` that the rest is in memory, too. May
        wait for the client. Raises `ClientGone` if nothing can be sent.
        """
        raise NotImplementedError

    def write_file(
        self,
        exchange: HTTP2Exchange,
        block: bytes,
        descriptor: int,
        spans: Sequence[tuple[bytes, int, int]],
        *,
        complete: bool,
    ) -> None:
        """Send the head ``block``, and parts of a file as the client takes them. Never waits.

        ``complete`` says that the parts are all of the body. Raises `ClientGone`, and `OSError` if
        the process has no descriptor left.
        """
        raise NotImplementedError

    def finish(self, exchange: HTTP2Exchange, trailers: bytes = b"") -> None:
        """End a response, with the encoded ``trailers``, if there are any."""
        raise NotImplementedError

    def complete(self, exchange: HTTP2Exchange) -> None:
        """Send a response before its application is done."""
        raise NotImplementedError

    def break_off(
        self, exchange: HTTP2Exchange, code: ErrorCode = ErrorCode.INTERNAL_ERROR
    ) -> None:
        """Reset a stream: the server cannot complete its response."""
        raise NotImplementedError

    def give_way(self, exchange: HTTP2Exchange) -> None:
        """Reset a stream whose worker waits, and is needed by others."""
        raise NotImplementedError

    def send(self) -> None:
        """Send what was noted."""
        raise NotImplementedError

    def send_or_leave(self) -> None:
        """Send what was noted, or leave it to the next stream, which is about to be served."""
        raise NotImplementedError

    def read_body(self, exchange: HTTP2Exchange, size: int) -> bytes:
        """Return up to ``size`` bytes of a streamed body; empty at its end. Waits for the client.

        Raises `ClientGone`, and `OSError` if the body is too long.
        """
        raise NotImplementedError

"""A connection of HTTP/2: its session, and its streams as exchanges on the threads of the pool.

Theory of operation
-------------------
Three parties meet here, each on threads of its own:

- *The owner of the connection*, one thread at a time, feeds what arrives to the `Session`, makes
  requests of the heads, and stores the bodies. A request that is complete becomes an
  `HTTP2Exchange`, and is handed to the pool; how they take turns is told at `SharedRequest`. The
  owner also takes from the session what is to be sent (`output`), a piece at a time.
- *Threads of the pool* serve the exchanges, each of them one. They put responses into the session.
- *The Monitor's thread* ends what takes too long.

``_lock`` guards the session, and all that is named below. It is held for short steps, and never
while the application runs or a thread waits for its client. A step that has put something into the
session notes that on the `SharedConnection`, and whoever can sends it: nobody sends for a step
alone while the next stream of the connection is about to be served (`send_or_leave`).

**Bodies of requests** are stored as over HTTP/1.1, in a `Spool`, and the client is given credit for
what is stored. If the application reads them while they arrive, it is given credit for what was
read. What was not counts against the bound for all connections (`InputRoom`): beyond it, nothing is
read of the connection, and the time of its client stands still.

**Bodies of responses** wait in the session until the windows of the client open. A worker waits,
and is replaced meanwhile, where it has more to add and more than `STREAM_BOUND` wait on its stream,
or `CONNECTION_BOUND` on the connection, or the budget of the server is used up (`ServerState`). A
response that is in memory already needs room in that budget only. A file is read as the windows
open (`FileFeed`), and no worker waits for it.
"""

from __future__ import annotations

import io
import logging
from math import inf
from threading import Condition, Lock
from time import monotonic
from typing import TYPE_CHECKING, Final, final

from rocket_core import ClientGone, CloseReason, Connection, SharedConnection
from rocket_core.extending import Spool, SpoolError
from rocket_core.http1 import HeadError
from rocket_wsgi._clock import Clock
from rocket_wsgi._environ.request import is_secure
from rocket_wsgi._environ.trailers import add_trailer
from rocket_wsgi._http2.encoded_block import EncodedBlock
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.events import (
    BodyArrived,
    BodyLate,
    Event,
    PriorityChanged,
    RequestArrived,
    RequestMalformed,
    StreamReset,
    TrailersArrived,
)
from rocket_wsgi._http2.file_feed import PIECE, FileFeed
from rocket_wsgi._http2.hpack_encoder import encode_once
from rocket_wsgi._http2.http2_exchange import NO_PARTS, ExchangeHost, HTTP2Exchange, Stage
from rocket_wsgi._http2.http2_request import (
    VERSION,
    WEBSOCKET,
    HTTP2Body,
    HTTP2Request,
    RequestReader,
)
from rocket_wsgi._http2.limits import BODY_MEMORY
from rocket_wsgi._http2.priority import DEFAULT_URGENCY
from rocket_wsgi._http2.session import TOO_SLOW, Session, stream_timeouts
from rocket_wsgi._http2.session_state import SessionState
from rocket_wsgi._http2.shared_streams import SharedStreams
from rocket_wsgi._http2.stream_body import StreamBody, StreamedBody
from rocket_wsgi._http2.turn_order import TurnOrder
from rocket_wsgi._own_answers import NO_ROOM, TOO_LATE, make_refusal
from rocket_wsgi._response.response import PLAIN_TEXT
from rocket_wsgi._static.answers import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rocket_core import SharedProtocol
    from rocket_wsgi._http2.request_head import RequestHead
    from rocket_wsgi._http2.shared_stream import SharedStream
    from rocket_wsgi._own_answers import OwnAnswer
    from rocket_wsgi._site import Site
    from rocket_wsgi._types import Environ

_log = logging.getLogger("rocket_wsgi")

STREAM_BOUND: Final = 256 * 1024
"""Bytes of a response that wait for the client, beyond which its worker waits."""

CONNECTION_BOUND: Final = 1024 * 1024
"""The same for all responses of a connection."""

_CORKED: Final = 16 * 1024
"""Bytes that are left for the next stream of the connection to be sent with its own."""

_UNCOUNTED: Final = 16 * 1024
"""Bytes that wait on a connection and need no room in the budget."""

_OUTPUT: Final = 64 * 1024
"""Bytes that are sent by one call of the system. More would delay what is more urgent."""

_MAX_LOGGED: Final = 512
"""The number of bytes to log of a head that is malformed."""

_CONTINUE: Final = encode_once(":status", "100")

# A look-up of an attribute of an enum is expensive.
_RECEIVING: Final = Stage.RECEIVING
_WAITING: Final = Stage.WAITING
_QUEUED: Final = Stage.QUEUED
_AHEAD: Final = Stage.AHEAD
_SERVED: Final = Stage.SERVED
_OVER: Final = Stage.OVER
_CLOSED: Final = SessionState.CLOSED


@final
class HTTP2Protocol(ExchangeHost):
    """One connection.

    Attributes:
        connection: the connection, whose methods are for its owner.
        dry: see `SharedProtocol`.
    """

    kind = "HTTP/2"
    supplies = True

    __slots__ = (
        "_armed",
        "_arrived",
        "_corked",
        "_exchanges",
        "_feeds",
        "_lent",
        "_lock",
        "_pushes",
        "_queued",
        "_reader",
        "_room",
        "_session",
        "_shared",
        "_site",
        "_unread",
        "_waiters",
        "_waiting",
        "dry",
    )

    def __init__(self, connection: Connection, site: Site, template: Environ, begun: bytes) -> None:
        """Share ``connection``, from which ``begun`` was taken, which is to begin the preface.

        ``template`` is that of the environs at the connection's address. The owner of the
        connection calls this, and leaves it in ``State.SHARED``.
        """
        now = monotonic()
        self.connection = connection
        self._site = site
        self._reader = RequestReader(site, connection, template)
        self._lock = Lock()
        self._session = Session(now, stream_timeouts(connection.timeouts))
        self._session.receive(begun, now)
        self._exchanges: dict[int, HTTP2Exchange] = {}
        """The streams that have become requests, until the application is done with them."""
        self._waiting = TurnOrder()
        """Those that are complete, behind the one that is queued."""
        self._arrived: list[HTTP2Exchange] = []
        """Those that the owner of the connection has found complete, and not added to them yet."""
        self._queued = False
        """Whether one of them is in the queue of the pool, or about to be."""
        self._feeds: dict[int, FileFeed] = {}
        self._corked = 0
        """The bytes that were added since the owner took the output last."""
        self._lent = 0
        """The bytes of the budget that are taken for what waits in the session."""
        self._pushes: SharedStreams | None = None
        """The streams that go on after their views have returned; made for the first one."""
        self._room: Condition | None = None
        """What workers wait on; made for the first one."""
        self._waiters = 0
        self._unread = 0
        """The bytes of streamed bodies that the applications have yet to read."""
        self._armed = inf
        """The time for which `due` is ordered: never after that at which something is due."""
        self.dry = False
        self._shared: SharedConnection = connection.share(self)
        with self._lock:
            self._arm()
            self._shared.supply()

    # -- the owner of the connection -------------------------------------------------------------

    def received(self, connection: Connection) -> None:
        """Take what has come, and have requests served."""
        data = connection.take()
        now = monotonic()
        with self._lock:
            self._session.go_on(now)
            events = self._session.receive(data, now)
        if self._pushes is not None:
            self._pushes.tell_recalled()
        self._carry_out(events, now)

    def due(self, now: float) -> None:
        """Do what is due."""
        with self._lock:
            self._armed = inf
            if self._shared.waits_for_room:
                # A thread of the pool has found that too much is held. It does not look after the
                # time.
                self._session.stop_time(now)
            events = self._session.tick(now)
        if self._pushes is not None:
            self._pushes.tell_due(now)
        self._carry_out(events, now)

    def draining(self, shared: SharedConnection) -> None:
        """Tell the client to begin no further request."""
        now = monotonic()
        with self._lock:
            self._session.drain(now)
            self._arm()
            shared.supply()
            pushes = self._find_pushes()
        pushes.tell_draining()

    def output(self) -> bytes:
        """Return the next frames to be sent."""
        now = monotonic()
        session = self._session
        with self._lock:
            pushes = self._pushes
            if pushes is not None and self._shared.blocked:
                pushes.note_waiting()
            if self._feeds:
                self._feed(now)
            data = session.take(_OUTPUT, now)
            self._corked = 0
            if pushes is not None:
                pushes.note_taken()
            if self._lent:
                self._give_back()
            if self._waiters:
                self._wake()
            # Where less was taken than was asked for, nothing else can be sent now.
            self.dry = not self._feeds and (len(data) < _OUTPUT or not session.waits)
            if session.state is _CLOSED:
                if self.dry:
                    self._shared.end()
            elif session.pending and session.deadline < self._armed:
                self._arm()
        if pushes is not None:
            pushes.queue_turns()
        return data

    def lost(self) -> None:
        """Give up all streams: nothing can be sent any more."""
        with self._lock:
            self._session.gone()
        self._give_up()

    def _give_up(self) -> None:
        """End all exchanges, after the session has ended."""
        with self._lock:
            self._give_back()
            for feed in self._feeds.values():
                feed.close()
            self._feeds.clear()
            self._waiting.clear()
            dropped: list[HTTP2Exchange] = []
            served: list[HTTP2Exchange] = []
            for each in self._exchanges.values():
                each.gone = True
                (dropped if each.stage in _UNSERVED else served).append(each)
            self._wake()
            pushes = self._pushes
        for exchange in served:
            _tell_gone(exchange)
        for exchange in dropped:
            self._discard(exchange)
        if pushes is not None:
            pushes.give_up()
            pushes.queue_turns()

    def gives_way(self, *, asked: bool) -> bool:
        """Return whether there is no stream: then the connection is as one of HTTP/1.1 that idles.

        If all streams are event streams and such, the server has to be ``asked`` for it, as for the
        other kinds of shared connections.
        """
        streams = self._session.streams
        return not streams or (asked and self._pushes is not None and len(self._pushes) == streams)

    def streams(self) -> int:
        """Return how many streams are open, or served though they were reset."""
        with self._lock:
            return self._session.streams

    def stream_kinds(self) -> dict[str, int]:
        """Return how many of these streams there are of each kind, see `ConnectionInfo`."""
        with self._lock:
            kinds = dict.fromkeys(_KINDS.values(), 0)
            for exchange in self._exchanges.values():
                kinds[_KINDS[exchange.stage]] += 1
            if self._pushes is not None:
                for kind in self._pushes.kinds():
                    kinds[kind] = kinds.get(kind, 0) + 1
            kinds["finishing"] = self._session.streams - sum(kinds.values())
        return {kind: count for kind, count in kinds.items() if count > 0}

    def busy(self) -> bool:
        """Return whether the application is to answer one of them, or does."""
        with self._lock:
            return any(each.stage in _FOR_WORKERS for each in self._exchanges.values())

    def outcome(self, reason: CloseReason | None) -> str:
        """Return the error code of the last GOAWAY frame, or the reason."""
        failure = self._session.failure
        if failure is not None and failure is not ErrorCode.NO_ERROR:
            return failure.name
        return (CloseReason.SERVED if reason is None else reason).value

    def pace(self, now: float) -> float:
        """Return 0: it is a stream that has a pace, see `pace_of`."""
        del now
        return 0.0

    def drained(self) -> None:
        """The client has taken all that had to wait. Who waits for that is woken by `output`."""

    def ended(self, reason: CloseReason | None) -> None:
        """The connection is not shared any more. All that there was has ended in `lost`."""
        del reason

    def turn(self) -> bool:
        """Return False: exchanges have their own turns, and the connection has none."""
        return False

    def overdue(self, shared: SharedConnection) -> None:
        """End the connection, whose turn does not end."""
        shared.cut(CloseReason.REQUEST_TIMEOUT)

    def doing(self) -> str:
        """Return what the present turn is busy with."""
        return self.kind

    def pace_of(self, number: int, now: float) -> float:
        """Return the rate at which the client sends on a stream, or takes. Any thread may ask."""
        return self._session.pace(number, now)

    def _carry_out(self, events: list[Event], now: float) -> None:
        """Do what ``events`` say, and note what follows."""
        for event in events:
            if type(event) is RequestArrived:
                self._begin(event, now)
            elif type(event) is BodyArrived:
                self._add_body(event.stream, event.data, now, ended=event.ended)
            else:
                self._carry_out_other(event, now)
        session = self._session
        with self._lock:
            if self._arrived:
                self._queue_arrived()
            if self._shared.waits_for_room:
                session.stop_time(now)
            if session.deadline < self._armed:
                self._arm()
            closed = session.state is _CLOSED
            if closed or session.waits:
                self._shared.supply()
        if closed:
            self._note_reason()
            self._give_up()

    def _carry_out_other(self, event: Event, now: float) -> None:
        """Do what one of the rarer events says."""
        if type(event) is StreamReset:
            self._reset(event)
        elif type(event) is RequestMalformed:
            self._log_unread(event.head, 0, event.reason)
        elif type(event) is BodyLate:
            self._end_upload(event.stream)
        elif type(event) is PriorityChanged:
            self._prioritize(event.stream, event.urgency)
        elif type(event) is TrailersArrived:
            self._add_trailers(event)
            self._add_body(event.stream, b"", now, ended=True)

    def _note_reason(self) -> None:
        """Have the connection close for what the client has done, if that has ended the session."""
        failure = self._session.failure
        connection = self.connection
        if failure is None or failure is ErrorCode.NO_ERROR or connection.close_reason is not None:
            return
        connection.close_reason = _REASONS.get(failure, CloseReason.VIOLATION)

    def _arm(self) -> None:
        """With the lock: have `due` called when something is due."""
        deadline = self._session.deadline
        if self._pushes is not None:
            deadline = min(deadline, self._pushes.due)
        self._armed = deadline
        self._shared.call_at(deadline)

    def _arm_by(self, when: float) -> None:
        """With the lock: have `due` called by ``when``."""
        if when < self._armed:
            self._armed = when
            self._shared.call_at(when)

    # -- requests: the owner ---------------------------------------------------------------------

    def _begin(self, event: RequestArrived, now: float) -> None:
        """Make a request of a head, and answer or accept it."""
        connection = self.connection
        number, head = event.stream, event.head
        request: HTTP2Request | None = None
        try:
            if head.protocol not in {"", WEBSOCKET}:
                raise HeadError(501, "this server knows no such protocol")
            request = self._reader.read(head, ended=event.ended)
            own_answers = self._site.own_answers
            answer = None
            if own_answers is not None:
                answer = own_answers.find(request, connection, self._reader.client)
            if answer is None:
                exchange = HTTP2Exchange(self, number, connection.requests + 1, request)
                exchange.client = self._reader.client
                exchange.urgency = event.urgency
                if event.ended or request.tunnel:
                    exchange.ended = event.ended
                    connection.requests += 1
                    self._exchanges[number] = exchange
                    self._make_ready(exchange, now)
                    return
                answer = self._accept(exchange, request, now)
            elif request.tunnel and answer.code < 300:  # which would complete the handshake
                raise HeadError(501, "no websocket is accepted here")
        except HeadError as error:
            answer = make_refusal(error.status, error.reason)
        if answer is not None:
            self._answer_at_once(number, answer, request, head)

    def _accept(
        self, exchange: HTTP2Exchange, request: HTTP2Request, now: float
    ) -> OwnAnswer | None:
        """Accept a request with a body; return how to refuse it instead, or None."""
        site, connection, number = self._site, self.connection, exchange.number
        if site.mounts is not None and site.find_mount(request) is not None:
            return make_refusal(*refusal(request))
        server = connection.server
        request.environ["rocket.trailers"] = {}
        if site.stream_bodies:
            if request.length > site.max_body:
                raise HeadError(413, "the request body is too long")
            request.body = HTTP2Body(StreamedBody())
            request.stream = io.BufferedReader(StreamBody(exchange))
            request.environ["wsgi.input"] = request.stream
        else:
            if request.length > min(site.max_body, server.disk.longest):
                raise HeadError(413, "the request body is too long")
            request.spool = spool = self._make_spool(exchange)
            request.body = HTTP2Body(spool)
            try:
                spool.announce(max(request.length, 0))
            except SpoolError:
                return NO_ROOM
        connection.requests += 1
        self._exchanges[number] = exchange
        if request.expects:
            with self._lock:
                self._session.inform(number, _CONTINUE)
        if request.spool is None:
            self._make_ready(exchange, now)
        return None

    def _make_spool(self, exchange: HTTP2Exchange) -> Spool:
        server = self.connection.server
        if self._exchanges:
            return Spool(server.input, server.disk, exchange, BODY_MEMORY)
        return Spool(server.input, server.disk, exchange)

    def _make_ready(self, exchange: HTTP2Exchange, now: float) -> None:
        """Have a request served when it is the turn of this connection."""
        exchange.arrived_at = now
        if self._site.reserves:
            exchange.reserved = self._is_reserved(exchange.request)
        self._arrived.append(exchange)

    def _queue_arrived(self) -> None:
        """With the lock: have the requests wait that are complete now, one of them in the queue."""
        arrived, self._arrived = self._arrived, []
        first: HTTP2Exchange | None
        if len(arrived) == 1 and not self._queued and arrived[0].stage is _RECEIVING:
            first = arrived[0]
        else:
            waiting = self._waiting
            usual = waiting.usual
            for exchange in arrived:
                if exchange.stage is _RECEIVING:  # and not reset meanwhile
                    exchange.stage = _WAITING
                    if exchange.urgency == DEFAULT_URGENCY and not exchange.reserved:
                        usual.append(exchange)
                    else:
                        waiting.add(exchange)
            first = None if self._queued else waiting.take()
        if first is not None:
            self._queued = True
            first.stage = _QUEUED
            self._shared.serve(first.queued())

    def _is_reserved(self, request: HTTP2Request) -> bool:
        """Return whether a request is served even while all workers are busy."""
        try:
            return self._site.is_urgent(request)
        except BaseException as error:  # noqa: BLE001 - `reserved` is not the server's
            self.connection.server.faults.report(_log, error, "%s: reserved() failed", request)
            return False

    def _add_body(self, number: int, data: bytes, now: float, *, ended: bool) -> None:
        """Add a part to the body of a request."""
        exchange = self._exchanges.get(number)
        if exchange is None or exchange.request.tunnel:
            self._add_to_tunnel(number, exchange, data, ended=ended)
            return
        request = exchange.request
        body = request.body
        if type(body) is not HTTP2Body:
            return
        if request.spool is None:
            self._add_streamed(exchange, body, data, ended=ended)
            return
        try:
            if data:
                server = self.connection.server
                request.spool.add(data)
                if request.spool.size > min(self._site.max_body, server.disk.longest):
                    raise HeadError(413, "the request body is too long")
                with self._lock:
                    self._session.credit(number, len(data), now)
            if ended:
                body.complete = True
                request.environ["wsgi.input"] = request.spool.open()
                request.environ["CONTENT_LENGTH"] = str(request.spool.size)
                self._make_ready(exchange, now)
        except HeadError as error:
            self._refuse_body(exchange, make_refusal(error.status, error.reason))
        except SpoolError:
            self._refuse_body(exchange, NO_ROOM)

    def _add_trailers(self, event: TrailersArrived) -> None:
        """Let the application have the trailers of a request."""
        exchange = self._exchanges.get(event.stream)
        if exchange is not None and exchange.request.body is not None:
            trailers = exchange.request.environ["rocket.trailers"]
            for field in event.fields:
                add_trailer(trailers, field.name, field.value)

    def _add_streamed(
        self, exchange: HTTP2Exchange, body: HTTP2Body, data: bytes, *, ended: bool
    ) -> None:
        """Add a part to a body that the application reads while it arrives."""
        body.store.add(data)
        with self._lock:
            self._add_part(exchange, data)
            body.complete = ended
            if body.store.size > self._site.max_body:
                exchange.fault = "the request body is too long"
            self._wake()

    def _add_to_tunnel(
        self, number: int, exchange: HTTP2Exchange | None, data: bytes, *, ended: bool
    ) -> None:
        """Take what is for something that goes on, or is about to, and not for a view."""
        if exchange is not None:
            with self._lock:
                self._add_part(exchange, data)
                exchange.ended = ended
        elif self._pushes is not None:
            self._pushes.receive(number, data, ended=ended)

    def _add_part(self, exchange: HTTP2Exchange, data: bytes) -> None:
        """With the lock: keep what has come until it is read."""
        if data:
            if exchange.parts is NO_PARTS:
                exchange.parts = []
            exchange.parts.append(data)
            exchange.unread += len(data)
            self._hold(len(data))

    def _end_upload(self, number: int) -> None:
        """Answer a request that does not arrive in time; or reset it, if the application has it."""
        exchange = self._exchanges.get(number)
        if exchange is not None and exchange.request.spool is not None:
            self._refuse_body(exchange, TOO_LATE)
            return
        with self._lock:
            self._session.reset(number, ErrorCode.CANCEL)
        self._reset(StreamReset(number, ErrorCode.CANCEL, TOO_SLOW))

    def _refuse_body(self, exchange: HTTP2Exchange, answer: OwnAnswer) -> None:
        self.answer(exchange.number, answer, exchange.request)
        self.release(exchange)

    def _prioritize(self, number: int, urgency: int) -> None:
        """Have a stream that waits taken sooner, or later."""
        with self._lock:
            exchange = self._exchanges.get(number)
            if exchange is None:
                return
            if exchange.stage is _WAITING:
                self._waiting.move(exchange, urgency)
            elif exchange.stage is _RECEIVING:
                exchange.urgency = urgency

    def _reset(self, event: StreamReset) -> None:
        """End a stream that was reset. If the application has it, it finds out."""
        number = event.stream
        if self._pushes is not None:
            self._pushes.reset(number, _reset_reason(event))
        with self._lock:
            feed = self._feeds.pop(number, None)
            exchange = self._exchanges.get(number)
            dropped = exchange is not None and exchange.stage in _UNQUEUED
            if exchange is not None:
                exchange.gone = True
            if exchange is not None and exchange.stage is _WAITING:
                self._waiting.remove(exchange)
            if feed is not None:
                feed.close()
                if feed.released:
                    self._session.release(number, monotonic())
            self._wake()
        if exchange is None:
            return
        if dropped:
            self.drop(exchange, event.reason)
        else:
            _tell_gone(exchange)

    # -- answers of the server's own: the owner, the Monitor's thread, and threads of the pool ----

    def _answer_at_once(
        self, number: int, answer: OwnAnswer, request: HTTP2Request | None, head: RequestHead
    ) -> None:
        """Answer a request that does not become an exchange."""
        self.answer(number, answer, request, head)
        now = monotonic()
        with self._lock:
            self._session.release(number, now)

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
        site, connection = self._site, self.connection
        environ = None if request is None else request.environ
        secure = is_secure(environ) if environ else connection.secure
        fields = site.own_fields(request, secure=secure)
        known = request or head
        body = b"" if known is not None and known.method == "HEAD" else answer.body
        encoded = EncodedBlock(answer.status, [PLAIN_TEXT, *answer.headers, *fields])
        block = encoded.encode(len(answer.body), Clock(site.server_header))
        now = monotonic()
        with self._lock:
            sent = self._session.respond(number, block, body, now, end=True)
            self._shared.supply()
        if answer.reason is None:
            return
        status, size = (answer.code, len(body)) if sent else (0, 0)
        if sent:
            connection.server.tally.count_response(status, own=True)
        if request is None:
            if head is not None:
                self._log_unread(head, status, answer.reason, size)
        elif site.access_log is not None:
            site.access_log.refused(connection, request, status, reason=answer.reason, size=size)

    def _log_unread(self, head: RequestHead, status: int, reason: str, size: int = 0) -> None:
        """Log a head that has not become a request."""
        log = self._site.access_log
        if log is not None:
            line = f"{head.method} {head.path} {VERSION}" if head.method else ""
            raw = line.encode("latin-1", "replace")[:_MAX_LOGGED]
            log.refused(self.connection, None, status, reason=reason, size=size, raw=raw)

    def drop(self, exchange: HTTP2Exchange, reason: str = "") -> None:
        """End a request that was not served, because its stream was reset.

        ``reason`` is that of the server, or empty if the client has reset the stream.
        """
        with self._lock:
            self._session.release(exchange.number, monotonic())
        self._discard(exchange, reason)

    def _discard(self, exchange: HTTP2Exchange, reason: str = "") -> None:
        """Release and log a request that was not served."""
        with self._lock:
            if exchange.stage is _OVER:
                return
            exchange.stage = _OVER
            self._exchanges.pop(exchange.number, None)
            self._forget_parts(exchange)
        request = exchange.request
        if request.body is not None:
            request.body.store.close()
        if self._site.access_log is not None:
            reason = reason or (self.connection.close_reason or CloseReason.CLIENT).value
            self._site.access_log.refused(self.connection, request, 0, reason=reason)

    # -- responses: threads of the pool ----------------------------------------------------------

    def next_exchange(self, exchange: HTTP2Exchange) -> HTTP2Exchange | None:
        """Return the exchange to be queued next, now that ``exchange`` is about to be served."""
        with self._lock:
            if exchange.stage is _AHEAD:  # another one is in the queue
                exchange.stage = _SERVED
                return None
            if exchange.stage is _QUEUED:
                exchange.stage = _SERVED
            following = self._waiting.take()
            if following is None:
                self._queued = False
                return None
            following.stage = _QUEUED
            return following

    def take_reserved(self) -> HTTP2Exchange | None:
        """Return an exchange to be served ahead of its turn, or None. The Monitor's thread asks."""
        with self._lock:
            exchange = self._waiting.take_reserved()
            if exchange is not None:
                exchange.stage = _AHEAD
            return exchange

    def put_back(self, exchange: HTTP2Exchange) -> None:
        """Have an exchange wait for its turn again: nobody can serve it ahead of that."""
        with self._lock:
            if not exchange.gone and exchange.stage is _AHEAD:
                exchange.stage = _WAITING
                self._waiting.add(exchange)
                return
        self.drop(exchange)

    def inform(self, exchange: HTTP2Exchange, block: bytes) -> bool:
        """Send an interim response; return whether it can be."""
        with self._lock:
            self._shared.supply()
            return self._session.inform(exchange.number, block)

    def write(
        self, exchange: HTTP2Exchange, block: bytes, data: bytes, *, end: bool, in_memory: bool
    ) -> None:
        """Send a part of a response, behind its head if ``block`` is not empty.

        ``end`` says that it is the last one, and ``in_memory`` that the rest is in memory, too. May
        wait for the client. Raises `ClientGone` if nothing can be sent.
        """
        number, session = exchange.number, self._session
        size = len(data)
        now = monotonic()
        with self._lock:
            if block:
                sent = session.respond(number, block, data, now, end=end)
            else:
                sent = session.send(number, data, now) and (not end or session.finish(number))
            self._corked += len(block) + size
            self._shared.supply()
            waits = size > 0 and not self._has_room(number, in_memory=in_memory)
        if not sent:
            raise ClientGone("the client has reset the stream, or is gone")
        if waits:
            self._shared.flush()
            self._wait_for_room(exchange, in_memory=in_memory)

    def finish(self, exchange: HTTP2Exchange, trailers: bytes = b"") -> None:
        """End a response, with the encoded ``trailers``, if there are any."""
        with self._lock:
            self._session.finish(exchange.number, trailers)
            self._shared.supply()

    def write_file(
        self,
        exchange: HTTP2Exchange,
        block: bytes,
        descriptor: int,
        spans: Sequence[tuple[bytes, int, int]],
        *,
        complete: bool,
    ) -> None:
        """Send the head ``block``, and parts of a file as the client takes them.

        ``complete`` says that the parts are all of the body. Waits for the client only if the
        server has too many files open. Raises `ClientGone`, and `OSError` if the process has no
        descriptor left.
        """
        number = exchange.number
        disk = self.connection.server.disk
        if not disk.lend_file():
            self._write_parts(exchange, block, FileFeed(descriptor, spans, complete=complete))
            return
        feed = FileFeed(descriptor, spans, complete=complete, disk=disk)
        now = monotonic()
        with self._lock:
            end = complete and feed.ended
            sent = self._session.respond(number, block, b"", now, end=end)
            self._shared.supply()
            kept = sent and not feed.ended
            if kept:
                self._feeds[number] = feed
        if not kept:
            feed.close()
        if not sent:
            raise ClientGone("the client has reset the stream, or is gone")

    def _write_parts(self, exchange: HTTP2Exchange, block: bytes, feed: FileFeed) -> None:
        """Send a head, and a file that has no descriptor of its own. Waits for the client."""
        while True:
            data = feed.read()
            end = feed.complete and feed.ended
            self.write(exchange, block, data, end=end, in_memory=feed.ended)
            if feed.ended:
                return
            self.send()
            block = b""

    def break_off(
        self, exchange: HTTP2Exchange, code: ErrorCode = ErrorCode.INTERNAL_ERROR
    ) -> None:
        """Reset a stream: the server cannot complete its response."""
        with self._lock:
            exchange.gone = True
            self._session.reset(exchange.number, code)
            self._shared.supply()
            self._wake()

    def give_way(self, exchange: HTTP2Exchange) -> None:
        """Reset a stream whose worker waits, and is needed by others."""
        with self._lock:
            exchange.gone = True
            self._session.reset(exchange.number, ErrorCode.CANCEL)
            self._shared.supply()
            self._wake()
        _tell_gone(exchange)
        self._shared.leave()  # since a flush could need the lock of the pool, which the caller has

    def release(self, exchange: HTTP2Exchange) -> None:
        """Note that the application is done with a stream."""
        whole = exchange.whole
        if whole is None or exchange.shared is not None:
            self._release(exchange)
        else:
            block, data = whole
            exchange.whole = None
            number = exchange.number
            now = monotonic()
            with self._lock:
                exchange.stage = _OVER
                self._exchanges.pop(number, None)
                if exchange.unread:
                    self._forget_parts(exchange)
                self._corked = self._session.answer(number, block, data, now)
                if self._armed == inf:
                    self._arm()
                self._shared.supply()
        body = exchange.request.body
        if body is not None:
            body.store.close()

    def _release(self, exchange: HTTP2Exchange) -> None:
        """Do so if the response was sent already, or something goes on with the stream."""
        number = exchange.number
        now = monotonic()
        with self._lock:
            self._send_whole(exchange, now)
            exchange.stage = _OVER
            self._exchanges.pop(number, None)
            parts = exchange.parts
            self._forget_parts(exchange)
            pushes, shared = self._pushes, exchange.shared
            if shared is not None and pushes is not None:
                pushes.attach(shared, parts, ended=exchange.ended, gone=exchange.gone)
            elif self._feeds and number in self._feeds:
                self._feeds[number].released = True
            else:
                self._session.release(number, now)
            if self._armed == inf:
                self._arm()
            self._shared.supply()
        if shared is not None and pushes is not None:
            pushes.queue_turns()

    def share(self, exchange: HTTP2Exchange, protocol: SharedProtocol) -> SharedStream:
        """Have ``protocol`` go on with a stream once the application is done with it."""
        with self._lock:
            pushes = self._find_pushes()
        return pushes.share(
            exchange.number, protocol, listens=exchange.request.tunnel, gone=exchange.gone
        )

    def _find_pushes(self) -> SharedStreams:
        """With the lock: return the streams that go on."""
        if self._pushes is None:
            self._pushes = SharedStreams(
                self.connection, self._shared, self._session, self._lock, self._arm_by
            )
        return self._pushes

    def complete(self, exchange: HTTP2Exchange) -> None:
        """Send a response before its application is done."""
        if exchange.whole is not None:
            with self._lock:
                self._send_whole(exchange, monotonic())
                self._shared.supply()
        self.send_or_leave()

    def _send_whole(self, exchange: HTTP2Exchange, now: float) -> None:
        """With the lock: put a response into the session if it is complete and not there yet."""
        if exchange.whole is not None:
            block, data = exchange.whole
            exchange.whole = None
            self._session.respond(exchange.number, block, data, now, end=True)
            self._corked += len(block) + len(data)

    def send(self) -> None:
        """Send what was noted."""
        self._shared.flush()

    def send_or_leave(self) -> None:
        """Send what was noted, or leave it to the next stream, which is about to be served."""
        shared = self._shared
        if not self._queued or self._corked >= _CORKED:
            shared.flush()
        elif not shared.left:
            shared.leave()

    # -- waiting for the client: threads of the pool ----------------------------------------------

    def read_body(self, exchange: HTTP2Exchange, size: int) -> bytes:
        """Return up to ``size`` bytes of a streamed body; empty at its end. Waits for the client.

        Raises `ClientGone`, and `OSError` if the body is too long.
        """
        if not exchange.unread and not exchange.request.received:
            self._wait_for_body(exchange)
        now = monotonic()
        with self._lock:
            if exchange.fault:
                raise OSError(f"malformed request body: {exchange.fault}")
            data = b"".join(exchange.parts)
            if not data and not exchange.request.received:
                raise ClientGone("the client has reset the stream, or is gone")
            exchange.parts = [data[size:]] if len(data) > size else []
            data = data[:size]
            exchange.unread -= len(data)
            self._hold(-len(data))
            self._session.credit(exchange.number, len(data), now)
            waits = self._session.waits
            if waits:
                self._shared.supply()
        if waits or self.connection.server.room.crowded:
            self._shared.flush()
        return data

    def _wait_for_body(self, exchange: HTTP2Exchange) -> None:
        self._shared.flush()
        number = exchange.number
        with self.connection.server.pool.stalled(exchange.served()), self._lock:
            room = self._begin_wait()
            while not (
                exchange.unread
                or exchange.fault
                or exchange.request.received
                or not self._session.is_open(number)
            ):
                room.wait()
            self._waiters -= 1

    def _wait_for_room(self, exchange: HTTP2Exchange, *, in_memory: bool) -> None:
        """Wait until the client has taken enough. Raises `ClientGone`."""
        number, session = exchange.number, self._session
        with self.connection.server.pool.stalled(exchange.served()), self._lock:
            room = self._begin_wait()
            while not self._has_room(number, in_memory=in_memory) and session.state is not _CLOSED:
                room.wait()
            self._waiters -= 1
            if session.stream_pending(number) and session.state is _CLOSED:
                raise ClientGone("the client is gone")

    def _begin_wait(self) -> Condition:
        """With the lock: return what to wait on."""
        if self._room is None:
            self._room = Condition(self._lock)
        self._waiters += 1
        return self._room

    def _wake(self) -> None:
        """With the lock: have the workers that wait look again."""
        if self._waiters and self._room is not None:
            self._room.notify_all()

    def _has_room(self, number: int, *, in_memory: bool) -> bool:
        """With the lock: return whether the worker of a stream may go on.

        What waits beyond a little is taken from the budget; without room there, the worker waits
        until what it has added is sent.
        """
        session = self._session
        mine = session.stream_pending(number)
        if not mine:
            return True
        pending = self._pending
        lacking = pending - self._lent
        if pending > _UNCOUNTED and lacking > 0:
            if not self.connection.server.output.lend(lacking):
                return False
            self._lent = pending
        return in_memory or (mine <= STREAM_BOUND and pending <= CONNECTION_BOUND)

    # -- with the lock ----------------------------------------------------------------------------

    @property
    def _pending(self) -> int:
        """The bytes that wait in the session, without those of streams that have room of theirs."""
        pending = self._session.pending
        # 1. The session drops what waits on a stream, or on all, as at a reset. 2. This is asked.
        # 3. The room of the stream is given back. In the second step it exceeds what waits.
        return pending if self._pushes is None else max(pending - self._pushes.lent, 0)

    def _hold(self, count: int) -> None:
        """Note that ``count`` bytes of streamed bodies more, or fewer, wait to be read."""
        self._unread += count
        self._shared.hold(self._unread)

    def _forget_parts(self, exchange: HTTP2Exchange) -> None:
        """Forget what the application has not read of a streamed body, and will not."""
        if exchange.unread:
            self._hold(-exchange.unread)
            exchange.unread = 0
            exchange.parts = NO_PARTS

    def _give_back(self) -> None:
        """Give back to the budget what is not needed any more."""
        excess = self._lent - self._pending
        if excess > 0:
            self._lent -= excess
            self.connection.server.output.give_back(excess)

    def _feed(self, now: float) -> None:
        """Read on in the files whose streams can send."""
        session = self._session
        for number, feed in [*self._feeds.items()]:
            if session.stream_pending(number) >= PIECE:
                continue
            try:
                session.send(number, feed.read(), now)
            except OSError:
                session.reset(number, ErrorCode.INTERNAL_ERROR)
            else:
                if not feed.ended:
                    continue
                if feed.complete:
                    session.finish(number)
            feed.close()
            del self._feeds[number]
            if feed.released:
                session.release(number, now)


def _tell_gone(exchange: HTTP2Exchange) -> None:
    """Tell the application, if it has asked for that, that nothing can be sent on a stream.

    1. A thread of the application is about to leave word here. 2. The caller has set ``gone``, and
    finds no word. 3. The thread looks at ``gone`` after it has left word.
    """
    cancellation = exchange.request.cancellation
    if cancellation is not None:
        cancellation.look()


def _reset_reason(event: StreamReset) -> CloseReason:
    """Return how statistics and the access log call the end of a stream that was reset."""
    if not event.reason:  # as a client does that wants no more: over HTTP/1.1 it disconnects
        return CloseReason.CLIENT
    return CloseReason.SEND_TIMEOUT if event.code is ErrorCode.CANCEL else CloseReason.RESET


_UNQUEUED: Final = frozenset({Stage.RECEIVING, Stage.WAITING})
_FOR_WORKERS: Final = frozenset({Stage.WAITING, Stage.QUEUED, Stage.AHEAD, Stage.SERVED})
_UNSERVED: Final = frozenset({Stage.RECEIVING, Stage.WAITING, Stage.QUEUED, Stage.AHEAD})

_KINDS: Final = {
    Stage.RECEIVING: "arriving",
    Stage.WAITING: "waiting",
    Stage.QUEUED: "waiting",
    Stage.AHEAD: "waiting",
    Stage.SERVED: "running",
    Stage.OVER: "running",
}

_REASONS: Final = {
    ErrorCode.ENHANCE_YOUR_CALM: CloseReason.ABUSE,
    ErrorCode.SETTINGS_TIMEOUT: CloseReason.HEAD_TIMEOUT,
}
"""The reasons for which connections close after a GOAWAY frame, where these are not errors."""

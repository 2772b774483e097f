"""Receives the heads and bodies of requests over HTTP/1.1, without ever waiting for a client.

How it works
============

A `Receiver` belongs to one thread, like the worker that it is a part of. The threads of the pool
and the Monitor's thread call `Receiver.receive` whenever bytes of a client may have arrived. It
takes as much as has arrived, and returns the next state of the connection, which tells rocket-core
what to wait for:

    state    the receiver waits for                           then
    IDLE     the first byte of a request                      HEAD, or READY at once
    HEAD     the rest of a head                               BODY or READY
    BODY     the rest of a body, into memory or a file        READY
    READY    nothing: the request is complete                 the worker serves it
    LINGER   the client to read an answer and to disconnect
    CLOSED   nothing: the client has disconnected

Between two calls the connection belongs to the Monitor, and no thread is occupied. The request is
in `Connection.context` meanwhile, because the next call may run on another thread, with another
`Receiver`. So a receiver keeps only what is not about one connection: templates of environs, parts
of heads that repeat, the clock, and the source of request IDs. It needs no lock.

If ``stream_bodies`` is set, a request is READY when its head is complete. Then the application
receives the body, through a `BodyStream`, on the thread that serves the request.

Some requests never become READY: malformed ones, those with a body that is too large or has no
room, and those that the server answers itself (`OwnAnswers`). `Receiver.answer` sends all answers
of the server's own. Such an answer is so small that every connection has room for it, therefore
sending it does not wait either.
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Final

from rocket_core import CloseReason, State, Worker
from rocket_core.extending import Spool, SpoolError
from rocket_core.http1 import HeadError
from rocket_wsgi._environ.request import is_secure
from rocket_wsgi._http1.body_decoder import RECEIVE_SIZE, ChunkedBody, LengthBody
from rocket_wsgi._http1.body_stream import BodyBuffer, BodyStream
from rocket_wsgi._http1.fields import Framing
from rocket_wsgi._http1.head_cache import HeadCache
from rocket_wsgi._http1.http1_request import HTTP1Request
from rocket_wsgi._http1.http1_response import CONTINUE, encode_answer
from rocket_wsgi._own_answers import NO_ROOM, make_refusal
from rocket_wsgi._static.answers import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_core import Connection, Peer, ResponseCounts
    from rocket_wsgi._clock import Clock
    from rocket_wsgi._environ.request import Store
    from rocket_wsgi._own_answers import OwnAnswer, OwnAnswers
    from rocket_wsgi._site import Site
    from rocket_wsgi._types import Environ, Headers

PREFACE_HEAD: Final = b"PRI * HTTP/2.0"
"""What `take_head` returns of the preface of HTTP/2 (RFC 9113, section 3.4)."""

HEAD_END: Final = b"\r\n\r\n"
"""What `take_head` has taken behind the head that it returns."""

_H2: Final = "h2"
"""The name of HTTP/2 over TLS (RFC 9113, section 3.2)."""

_MAX_LOGGED: Final = 512
"""The number of bytes to log of a head that is malformed."""

_MAX_FILLS: Final = 4
"""The number of receives of one upload in a row, before other clients get their turn."""

_MAX_TEMPLATES: Final = 64
"""The maximum number of templates, each for HTTP and for HTTPS."""

# A look-up of an attribute of an enum is expensive, and these are needed for each request.
_IDLE: Final = State.IDLE
_HEAD: Final = State.HEAD
_READY: Final = State.READY
_BODY: Final = State.BODY
_NO_BODY: Final = Framing.NONE

_take_head: Final = Worker.take_head  # a look-up of a static method is expensive, too


class Receiver:
    """Receives requests on any thread, and answers those that the application does not get.

    No method waits for a client.
    """

    def __init__(
        self,
        site: Site,
        clock: Clock,
        begin_http2: Callable[[Connection, Environ, bytes], bool],
        responses: ResponseCounts,
    ) -> None:
        """Receive requests for ``site``. ``clock`` and ``responses`` are those of the thread.

        ``begin_http2`` is called for a connection that begins with the preface of HTTP/2, or has to
        since TLS has agreed on it; with the template of environs, and what was taken from the
        buffer: a head, or nothing. It returns whether the connection speaks HTTP/2 from then on,
        and is shared.
        """
        self._site = site
        # An attribute of the site costs each request a search; these never change.
        self._own_answers = site.own_answers
        self._proxies = site.proxies
        self._names = site.names
        self._clock = clock
        self._begin_http2 = begin_http2
        self._responses = responses
        self._ids = site.make_ids()
        self._cache = HeadCache()
        self._templates: tuple[dict[Peer, Environ], dict[Peer, Environ]] = {}, {}

    # -- heads -----------------------------------------------------------------------------------

    def receive(self, connection: Connection) -> State:
        """Receive a head, then a body, as far as they have arrived; return the next state."""
        state = connection.state
        if state is _BODY:
            return self._receive_body(connection)
        # In IDLE, buffered bytes came together with the previous request, and are still unread.
        if state is _HEAD or not connection.buffered:
            count = connection.fill()
            if not count:
                return state if count is None else State.CLOSED
        while True:
            head = None
            try:
                head = _take_head(connection)
                if head is None:
                    return self._begin_agreed(connection) or _HEAD
                request = self._read(head, connection)
                own_answers = self._own_answers
                if own_answers is not None:
                    state = self._answer_or_accept(connection, request, own_answers)
                elif request.framing is _NO_BODY:
                    connection.context = request
                    return _READY
                else:
                    state = self._begin_body(connection, request)
            except HeadError as error:
                return self._refuse(connection, head, error)
            # After an own answer, the client may have sent the next request already.
            if state is not _IDLE or not connection.buffered or connection.unsent:
                return state

    def _refuse(self, connection: Connection, head: bytes | None, error: HeadError) -> State:
        """Refuse a request, or find that the connection speaks HTTP/2."""
        if connection.protocol == _H2 or (head == PREFACE_HEAD and not connection.requests):
            begun = b"" if head is None else head + HEAD_END
            if self._begin_http2(connection, self._template(connection), begun):
                return State.SHARED
        return self.answer(connection, make_refusal(error.status, error.reason), raw=head)

    def _begin_agreed(self, connection: Connection) -> State | None:
        """Let a connection speak HTTP/2 if TLS has agreed on it; return None otherwise.

        What it begins with is the session's to judge: anything but the preface is an error there
        (RFC 9113, section 3.4).
        """
        if connection.protocol != _H2:
            return None
        self._begin_http2(connection, self._template(connection), b"")
        return State.SHARED

    def _template(self, connection: Connection) -> Environ:
        """Return the template of the environs at the address that the client has reached."""
        template = self._templates[connection.secure].get(connection.local)
        if template is None:
            template = self._remember_template(connection.local, connection.secure)
        return template

    def _read(self, head: bytes, connection: Connection) -> HTTP1Request:
        """Make a request of its head and of what is known of its client. Raises `HeadError`."""
        peer = connection.peer
        host, port = peer  # takes less than attributes
        proxies = self._proxies
        names = self._names if proxies is None else proxies.names(peer)
        template = self._templates[connection.secure].get(connection.local)
        if template is None:
            template = self._remember_template(connection.local, connection.secure)
        request = HTTP1Request(head, template, names, self._cache)
        environ = request.environ
        environ["REMOTE_ADDR"] = host
        environ["REMOTE_PORT"] = str(port)
        if connection.proxy is not None:
            environ["rocket.peer"] = str(connection.proxy)
        if connection.environ is not None:
            if connection.protocol == _H2:
                raise HeadError(505, "this connection has agreed on HTTP/2")
            environ.update(connection.environ)
        if proxies is not None and names is proxies.trusted_names:
            proxies.apply(environ, peer)
            client = environ["REMOTE_ADDR"]
            connection.client = "" if client == host else client
        if self._ids is not None:
            request.request_id = self._ids.assign(environ, peer)
        return request

    def _remember_template(self, local: Peer, secure: bool) -> Environ:
        templates = self._templates[secure]
        if len(templates) >= _MAX_TEMPLATES:
            templates.clear()
        templates[local] = template = self._site.make_template(local, secure)
        return template

    def _answer_or_accept(
        self, connection: Connection, request: HTTP1Request, own_answers: OwnAnswers
    ) -> State:
        """Answer the request if the server does so itself; otherwise accept it for the worker."""
        draining = connection.draining
        answer = own_answers.find(request, connection, connection.client)
        if answer is not None:
            # An unread body would precede the next request.
            keep_alive = request.keep_alive and request.framing is _NO_BODY and not draining
            return self.answer(
                connection, answer, request, keep_alive=keep_alive and request.modern
            )
        if request.framing is _NO_BODY:
            connection.context = request
            return _READY
        return self._begin_body(connection, request)

    # -- bodies ----------------------------------------------------------------------------------

    def _begin_body(self, connection: Connection, request: HTTP1Request) -> State:
        """Accept a request with a body, and receive the part of it that has arrived."""
        connection.context = request
        site = self._site
        if site.mounts is not None and site.find_mount(request) is not None:
            return self.answer(connection, make_refusal(*refusal(request)))
        if site.stream_bodies:
            buffer = BodyBuffer()
            request.body = body = self._make_body(request, buffer, site.max_body)
            request.stream = io.BufferedReader(BodyStream(connection, request, body, buffer))
            request.environ["wsgi.input"] = request.stream
            return _READY
        server = connection.server
        request.spool = spool = Spool(server.input, server.disk, connection)
        request.body = body = self._make_body(request, spool, server.disk.longest)
        try:
            if request.length > RECEIVE_SIZE:  # a smaller body needs no room in a file
                spool.announce(request.length)
            if body.take(connection):
                return self._complete(request, spool)
        except SpoolError:
            return self._refuse_body(connection)
        if request.expects and not connection.buffered:
            connection.write(CONTINUE)
        return _BODY

    def _make_body(
        self, request: HTTP1Request, store: Store, longest: int
    ) -> LengthBody | ChunkedBody:
        """Make the decoder of a body of up to ``longest`` bytes. Raises `HeadError` (413)."""
        max_body = self._site.max_body
        if longest > max_body:  # noqa: PLR1730 - a call of `min` would cost each upload
            longest = max_body
        if request.framing is Framing.CHUNKED:
            body = ChunkedBody(longest, store)
            request.environ["rocket.trailers"] = body.trailers
            return body
        if request.length > longest:
            raise HeadError(413, "the request body is too long")
        return LengthBody(request.length, store)

    def _receive_body(self, connection: Connection) -> State:
        request = connection.context
        try:
            for _ in range(_MAX_FILLS):
                count = connection.fill(RECEIVE_SIZE)
                if count is None:
                    return _BODY
                if count == 0:
                    return State.CLOSED
                connection.transferred(count)
                if request.body.take(connection):
                    return self._complete(request, request.spool)
        except HeadError as error:
            return self.answer(connection, make_refusal(error.status, error.reason))
        except SpoolError:
            return self._refuse_body(connection)
        return _BODY

    def _complete(self, request: HTTP1Request, spool: Spool) -> State:
        request.environ["wsgi.input"] = spool.open()
        request.environ["CONTENT_LENGTH"] = str(spool.size)
        return _READY

    def _refuse_body(self, connection: Connection) -> State:
        """Refuse a body that has no room, or that lost its room to others."""
        connection.close_reason = CloseReason.OVERLOADED
        return self.answer(connection, NO_ROOM)

    # -- answers of the server's own -------------------------------------------------------------

    def answer(
        self,
        connection: Connection,
        answer: OwnAnswer,
        request: HTTP1Request | None = None,
        *,
        keep_alive: bool = False,
        raw: bytes | None = None,
    ) -> State:
        """Send an answer of the server's own, log it, and return the next state.

        ``request`` defaults to the request in ``connection``, if there is one. With ``keep_alive``
        another request may follow. ``raw`` is the head that was not understood, if it was complete.
        """
        request = request or connection.context
        body = request is None or request.method != "HEAD"
        connection.write(
            encode_answer(
                answer,
                self._own_fields(connection, request),
                body=body,
                keep_alive=keep_alive,
                clock=self._clock,
            )
        )
        log = self._site.access_log
        if answer.reason is not None:
            self._responses.count_own(answer.code)
        if log is not None and answer.reason is not None:
            log.refused(
                connection,
                request,
                answer.code,
                reason=answer.reason,
                size=len(answer.body) if body else 0,
                raw=connection.peek(_MAX_LOGGED) if raw is None else raw[:_MAX_LOGGED],
            )
        if keep_alive:
            # A transition from IDLE to IDLE changes nothing, so the time-out begins here.
            connection.deadline = time.monotonic() + connection.timeouts.keep_alive
            return _IDLE
        self.drop(connection)
        return State.LINGER

    def _own_fields(self, connection: Connection, request: HTTP1Request | None) -> Headers:
        """Return the fields that all responses get.

        This may run on the Monitor's thread, for a request that took too long, while the worker of
        the request still runs:

        1. The Monitor's thread takes the lease of the request, and calls `Worker.overdue`.
        2. The application returns, and the worker sets ``request.environ`` to `ENDED`.
        3. The Monitor's thread reads the environ, here.

        The environ of step 3 is either that of the request or `ENDED`, which is empty. Then only
        the connection tells whether the response goes over HTTPS.
        """
        environ = None if request is None else request.environ
        secure = is_secure(environ) if environ else connection.secure
        return self._site.own_fields(request, secure=secure)

    def drop(self, connection: Connection) -> HTTP1Request | None:
        """Release the request in ``connection``, which is not served; return it, or None."""
        request: HTTP1Request | None = connection.context
        connection.context = None
        if request is not None and request.body is not None:
            request.body.store.close()
        return request

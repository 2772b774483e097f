"""The worker that serves WSGI applications: one request, from READY to its line in the log.

How it works
============

rocket-core gives every thread of the pool, and the Monitor's thread, a `WSGIWorker` of its own. All
of them share one `Site`, whose settings were checked once. A request passes through a worker in two
halves, which may run on two threads:

    any thread, never waiting          a thread of the pool, which the request keeps
    -------------------------          ---------------------------------------------
    receive   head and body            serve     calls the application, and sends its result
    urgent    is it served even        _finish   closes what the request has opened, and
              if all are busy?                   writes its record to the access log
    expired, overloaded, overdue,
    failed    answer it otherwise

The left half is that of the protocol, `Receiver`. It leaves a complete request in
`Connection.context`; `serve` takes it out. From then on the request belongs to the thread that
serves it, with one exception: `overdue` runs on the Monitor's thread while `serve` still runs. The
lease of the request settles which of the two may use the connection (see `Response`). What both
read of the request, its record of the access log and its environ, is set before the lease is
offered, and is only read or replaced as a whole afterwards.

An exception of the application never ends the thread. Before the head is sent it is answered 500;
afterwards the response is cut off.
"""

from __future__ import annotations

import logging
from typing import Any, Final, Unpack
from wsgiref.types import WSGIApplication

from rocket_core import ClientGone, CloseReason, Connection, ResponseCounts, State, Worker
from rocket_core.extending import mypyc_attr
from rocket_wsgi._environ.request import ENDED, Request, is_secure
from rocket_wsgi._errors import Cancelled, CancelledBy
from rocket_wsgi._http1.encoded_head import EncodedHead
from rocket_wsgi._http1.http1_request import HTTP1Request
from rocket_wsgi._http1.http1_response import HTTP1Response
from rocket_wsgi._http1.receiver import Receiver
from rocket_wsgi._http1.upgrade import offer_upgrade
from rocket_wsgi._http2.encoded_block import EncodedBlock
from rocket_wsgi._http2.http2_exchange import HTTP2Exchange
from rocket_wsgi._http2.http2_protocol import HTTP2Protocol
from rocket_wsgi._http2.http2_response import HTTP2Response
from rocket_wsgi._http2.tunnel import NeedsHTTP1, TunnelResponse, offer_websocket
from rocket_wsgi._offers.begun import Begun, Refused
from rocket_wsgi._offers.channel import Sharable
from rocket_wsgi._offers.continuation import Continuation
from rocket_wsgi._offers.undone import UndoneProtocol
from rocket_wsgi._own_answers import CRASHED, NOT_RECEIVED, OVERDUE, OVERLOADED, TOO_LATE
from rocket_wsgi._response.response import AnyResponse
from rocket_wsgi._response.response_head import ResponseHeads
from rocket_wsgi._site import Site, SiteSettings
from rocket_wsgi._static.mounts import Mount
from rocket_wsgi._types import Environ

_log = logging.getLogger("rocket_wsgi")

_IDLE: Final = State.IDLE  # a look-up of an attribute of an enum is expensive


@mypyc_attr(allow_interpreted_subclasses=True)
class WSGIWorker(Worker):
    """Serves requests over HTTP/2, HTTP/1.1 and HTTP/1.0 with a WSGI application (PEP 3333).

    The application gets a request when the head and the body have arrived, so no thread waits for
    an upload. Malformed requests are answered without the application.
    """

    def __init__(
        self, application: WSGIApplication | Site, **settings: Unpack[SiteSettings]
    ) -> None:
        """Serve ``application`` with ``settings``, the keyword arguments of `Site`.

        A server makes a worker for each thread. To check the settings only once, make a `Site`, and
        give it to every worker instead of an application and settings.

        Raises:
            AddressError, TypeError, ValueError: the arguments are invalid, see `Site`.
        """
        if not isinstance(application, Site):
            application = Site(application, **settings)
        elif settings:
            raise TypeError(f"a site has its settings already; give Site() {sorted(settings)}")
        self._site = site = application
        self._application = site.application
        self._access_log = site.access_log
        self._adds_fields = site.adds_fields
        self._mounts = site.mounts
        self.responses = counts = ResponseCounts()
        self._note_own = counts.note_own
        server = site.server_header
        self._heads = ResponseHeads(EncodedHead, server, counts.sent)
        self._blocks = ResponseHeads(EncodedBlock, server, counts.sent)
        self._receiver = Receiver(site, self._heads.clock, self._begin_http2, counts)
        self._doing = "", ""
        """The method and the target of the present request, or of the last one."""

    # -- any thread, never waiting ---------------------------------------------------------------

    def receive(self, connection: Connection) -> State:
        """Receive a head, then a body, as far as they have arrived."""
        return self._receiver.receive(connection)

    def expired(self, connection: Connection) -> State:
        """Answer 408 to a request that did not arrive in time."""
        if connection.state is State.IDLE:
            return State.CLOSED
        return self._receiver.answer(connection, TOO_LATE)

    def overloaded(self, connection: Connection) -> State:
        """Answer 503 to a request that waited too long, or behind too many others."""
        return self._receiver.answer(connection, OVERLOADED)

    def urgent(self, connection: Connection) -> bool:
        """Return whether the request is for a file, or urgent by ``reserved``."""
        return self.is_urgent(connection.context)

    def is_urgent(self, request: Request) -> bool:
        """Return the same for ``request``."""
        return self._site.is_urgent(request)

    def _begin_http2(self, connection: Connection, template: Environ, begun: bytes) -> bool:
        """Begin to speak HTTP/2, if that is allowed; return whether it is."""
        if not self._site.speaks_http2(connection):
            return False
        HTTP2Protocol(connection, self._site, template, begun)
        return True

    def overdue(self, connection: Connection, context: Any) -> State:
        """Answer 504 to the request ``context``, which runs for too long, and still runs."""
        return self._receiver.answer(connection, OVERDUE, context)

    def doing(self) -> str:
        """Return the method and the target of the present request, or of the last one."""
        method, target = self._doing
        return f"{method} {target}" if method else ""

    def failed(self, connection: Connection, error: BaseException) -> State:
        """Answer 500 to a request that the server failed to receive."""
        del error
        if connection.unsent or connection.context is None:
            return State.CLOSED
        return self._receiver.answer(connection, NOT_RECEIVED)

    def closed(self, connection: Connection) -> None:
        """Release and log a request that was not served."""
        request = self._receiver.drop(connection)
        if request is not None and self._access_log is not None:
            reason = connection.close_reason or CloseReason.CLIENT
            self._access_log.refused(connection, request, 0, reason=reason.value)

    # -- the server and the thread ---------------------------------------------------------------

    def started(self) -> None:
        """Have the executor accept work."""
        if self._site.executor is not None:
            self._site.executor.open()

    def stopped(self) -> None:
        """Have the executor accept no more work."""
        if self._site.executor is not None:
            self._site.executor.close()

    def retired(self) -> None:
        """Release what belongs to the thread."""
        if self._site.at_thread_end is not None:
            self._site.at_thread_end()

    # -- serving: a thread of the pool -----------------------------------------------------------

    def serve(self, connection: Connection) -> State:
        """Call the application for the request that `receive` completed."""
        request: HTTP1Request = connection.context
        connection.context = None
        self._doing = request.method, request.target
        environ = request.environ
        response = HTTP1Response(connection, request, self._heads)
        if self._access_log is not None:
            request.record = self._access_log.begin(connection, request.line, environ)
        mount = None if self._mounts is None else self._mounts.find(environ["PATH_INFO"])
        if mount is None:
            environ["rocket.events"] = environ["rocket.deferred"] = response
        return self._answer(connection, connection, request, response, mount)

    def serve_stream(self, exchange: HTTP2Exchange) -> None:
        """Call the application for the request of a stream. Raises `ClientGone`."""
        connection, request = exchange.protocol.connection, exchange.request
        environ = request.environ
        make = TunnelResponse if request.tunnel else HTTP2Response
        response = make(exchange, request, self._blocks)
        if self._access_log is not None:
            request.record = record = self._access_log.begin(connection, request.line, environ)
            record.requests = exchange.order
            record.queued = exchange.queue_time
        mount = None if self._mounts is None else self._mounts.find(environ["PATH_INFO"])
        if mount is None:
            environ["rocket.events"] = environ["rocket.deferred"] = response
        self._answer(exchange, connection, request, response, mount)

    def _answer(
        self,
        exchange: Connection | HTTP2Exchange,
        connection: Connection,
        request: Request,
        response: AnyResponse,
        mount: Mount | None,
    ) -> State:
        """Call the application, or have a file of ``mount`` sent; return the next state.

        Over HTTP/1.1 the exchange is the connection.
        """
        environ = request.environ
        if self._adds_fields:
            response.own_fields = self._site.own_fields(
                request, secure=is_secure(environ), queued=exchange.queue_time
            )
        if exchange.lease is not None:
            exchange.lease.offer(request)
        result: Any = None
        try:
            if mount is None:
                environ["wsgi.early_hints"] = response.hint
                environ["rocket.client_gone"] = environ["rocket.cancelled"] = response
                environ["rocket.queue_time"] = exchange.queue_time
                environ["rocket.send_trailers"] = response.send_trailers
                if "HTTP_UPGRADE" in environ:
                    self._offer_upgrade(exchange, request, response)
                result = self._application(environ, response.start)
                response.send(result)
            else:
                compressed = self._site.compressed_files
                mount.files.answer(request, mount.prefix, response, compressed)
        except Cancelled as cancelled:
            self._cancelled(request, response, cancelled)
        except NeedsHTTP1 as needs:
            response.keep_alive = False
            response.error = str(needs)
        except ClientGone:
            response.keep_alive = False
            if not response.handed_over:
                response.error = "the client is gone"
                raise
        except BaseException as error:  # noqa: BLE001 - an application must not end a thread
            self._crashed(connection, request, response, error)
        finally:
            self._finish(result, exchange, connection, request, response)
        return _IDLE if response.keep_alive else response.ending()

    def _offer_upgrade(
        self, exchange: Connection | HTTP2Exchange, request: Request, response: AnyResponse
    ) -> None:
        """Offer another protocol that the client asks for. Raises `Refused`."""
        websockets = self._site.websockets
        if isinstance(exchange, HTTP2Exchange):
            if isinstance(response, TunnelResponse):
                offer_websocket(exchange.request, response, websockets)
        elif isinstance(request, HTTP1Request) and isinstance(response, HTTP1Response):
            offer_upgrade(exchange, request, response, websockets)

    def _cancelled(self, request: Request, response: AnyResponse, cancelled: Cancelled) -> None:
        """Deal with a view that has ended since its answer is not wanted: no error, and no log.

        Raises `ClientGone` unless a proxy waits for an answer.
        """
        if response.handed_over:
            return
        response.error = str(cancelled)
        response.keep_alive = response.keep_alive and request.modern
        if cancelled.by is not CancelledBy.DEADLINE:
            response.keep_alive = False
            raise ClientGone(str(cancelled)) from cancelled
        if response.began:
            response.give_up()
            return
        response.send_text(OVERDUE.status, OVERDUE.body)

    def _crashed(
        self,
        connection: Connection,
        request: Request,
        response: AnyResponse,
        error: BaseException,
    ) -> None:
        """Log an exception of the application, and answer 500 or cut the response off.

        `Refused` is not logged, but answered.
        """
        if response.handed_over and isinstance(error, StopIteration | ConnectionError):
            return  # frameworks raise these after a websocket, for which there is no response
        if isinstance(error, Refused):
            response.error = error.text
            response.refuse(error)
            self._note_own(int(error.status[:3]))
            return
        connection.server.faults.report(_log, error, "%s: the application failed", request)
        response.error = CRASHED.reason
        if response.handed_over:
            return
        if response.began:
            response.give_up()
            return
        response.keep_alive = response.keep_alive and request.modern
        response.send_text(CRASHED.status, CRASHED.body)
        self._note_own(CRASHED.code)

    def _finish(
        self,
        result: Any,
        exchange: Connection | HTTP2Exchange,
        connection: Connection,
        request: Request,
        response: AnyResponse,
    ) -> None:
        """Close what the request has opened, and write it to the access log."""
        try:
            if hasattr(result, "close"):
                response.before_close()
                result.close()
        except BaseException as error:  # noqa: BLE001 - an application must not end a thread
            connection.server.faults.report(_log, error, "%s: close() failed", request)
        if request.stream is not None:
            request.stream.close()  # what follows on the connection is not for this request
        if request.body is not None:
            request.body.store.close()
        response.over = True
        if request.cancellation is not None:
            request.cancellation.end()
        if response.upgrade is not None:
            response.take_back()
        log, record = self._access_log, request.record
        if response.begun is not None:
            self._settle(exchange, connection, request, response, response.begun)
        elif log is not None and record is not None and not response.overtaken:
            log.end(record, request.environ, response)
        # The environ refers to the response, and the response to the request: this ends the circle.
        request.environ = ENDED

    def _settle(
        self,
        exchange: Sharable,
        connection: Connection,
        request: Request,
        response: AnyResponse,
        begun: Begun,
    ) -> None:
        """Let what the application has begun go on, or undo it."""
        around, log, record = self._site.around, self._access_log, request.record
        if response.goes_on:
            continuation = Continuation(request, connection, around, log)
            try:
                begun.go_on(exchange, continuation, response.sent, keep_alive=response.hand_on())
            except ClientGone:
                continuation.end(0, 0, "the client is gone")
                begun.undo(continuation)
                raise
            return
        if log is not None and record is not None and not response.overtaken:
            log.end(record, request.environ, response)
        continuation = Continuation(request, connection, around, None)
        if not begun.undo(continuation):
            return
        if response.overtaken:  # the connection is not this worker's, nor counts its thread
            begun.tell(continuation)
            return
        UndoneProtocol(begun, continuation).begin(exchange, keep_alive=response.hand_on())

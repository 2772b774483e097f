"""The worker that serves WSGI applications."""

from __future__ import annotations

import io
import logging
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from rocket_core import ClientGone, CloseReason, Connection, Peer, State, Worker
from rocket_core.extending import Spool, SpoolError
from rocket_core.http1 import HeadError, RequestLine
from rocket_wsgi._clock import SERVER
from rocket_wsgi._environ.field_names import EnvironNames, Underscores
from rocket_wsgi._environ.proxies import Proxies
from rocket_wsgi._environ.request_id import HEADER, IdSource
from rocket_wsgi._executor import Executor
from rocket_wsgi._health import answer_health
from rocket_wsgi._http1.body_decoder import RECEIVE_SIZE, ChunkedBody, LengthBody, Store
from rocket_wsgi._http1.body_stream import BodyBuffer, BodyStream
from rocket_wsgi._http1.fields import Environ, Framing
from rocket_wsgi._http1.head_cache import HeadCache
from rocket_wsgi._http1.request import Request
from rocket_wsgi._http1.upgrade import offer_upgrade
from rocket_wsgi._https import HSTS, OwnAnswers, StrictResponse, check_hsts, is_secure
from rocket_wsgi._response.file_wrapper import FileWrapper
from rocket_wsgi._response.response import Response, plain
from rocket_wsgi._response.response_head import ResponseHeads
from rocket_wsgi._static.answers import refusal
from rocket_wsgi._static.files import StaticFiles
from rocket_wsgi._static.mounts import Mount, Mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from wsgiref.types import WSGIApplication

    from rocket_wsgi._access_log.access_log import AccessLog
    from rocket_wsgi._environ.request_id import RequestIds
    from rocket_wsgi._https import Answer

_log = logging.getLogger("rocket_wsgi")

MAX_BODY: Final = 1 << 30
"""Bytes of a request body, unless the worker is told otherwise."""

_RAW_LINE: Final = 512
"""Bytes logged of what is no request line."""

_FILLS: Final = 4
"""Receives of one upload in a row, before other clients get their turn."""

_RETRY_UPLOAD: Final = "30"
"""Seconds after which there may be room for an upload."""

_TEMPLATES: Final = 64

_ROOM: Final = dict.fromkeys(
    (
        "PATH_INFO",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "REQUEST_METHOD",
        "REQUEST_URI",
        "SERVER_PROTOCOL",
        "rocket.client_gone",
        "rocket.queue_time",
        "wsgi.early_hints",
        "wsgi.input",
    )
)
"""What every request sets: with these in the template, its copy need not grow."""


# An attribute of an enum costs a search, and these are needed several times a request.
_IDLE: Final = State.IDLE
_HEAD: Final = State.HEAD
_READY: Final = State.READY
_NO_BODY: Final = Framing.NONE

_take_head: Final = Worker.take_head  # a static method costs a search, too


class WSGIWorker(Worker):
    """Serves HTTP/1.1 and HTTP/1.0 requests with a WSGI application (PEP 3333).

    A request reaches the application once its head and its body have arrived, so that no thread
    waits for an upload. Malformed requests are answered without the application.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        multithread: bool = True,
        multiprocess: bool = False,
        max_body: int = MAX_BODY,
        stream_bodies: bool = False,
        underscores: Underscores = Underscores.DROP,
        access_log: AccessLog | None = None,
        reserved: Callable[[Environ], bool] | None = None,
        static: Mapping[str, StaticFiles] | None = None,
        executor: Executor | None = None,
        trusted_proxies: Iterable[str] | None = None,
        proxy_fields: Iterable[str] | None = None,
        request_ids: RequestIds | None = None,
        health: str | None = None,
        https_redirect: int | None = None,
        hsts: str | None = None,
        challenges: Callable[[str], str | None] | None = None,
        at_thread_end: Callable[[], object] | None = None,
    ) -> None:
        """Serve ``application``.

        Args:
            application: any WSGI callable.
            multithread: whether other threads may call it at the same time.
            multiprocess: whether other processes may.
            max_body: size of the largest request body, in bytes; larger ones are answered 413.
            stream_bodies: whether the application is called before the body has arrived, and waits
                for it as it reads. Its thread is replaced meanwhile.
            underscores: what happens to header fields with an underscore in their name.
            access_log: gets a line for each request, those for ``health`` excepted; None for no
                log.
            reserved: says for an environ, at once, whether its request is served in a lane of its
                own while all threads are busy; meant for health checks of the application.
            static: files that are served, in that lane too, instead of calling the application, by
                the path they are mounted at: ``{"/static": StaticFiles("public")}``.
            executor: does work that requests begin and need not wait for; one for all workers.
            trusted_proxies: the networks, as `rocket_core.Networks` reads them, of proxies that are
                believed in what they tell of clients; nobody else may tell such things, and none at
                all where the list is empty. None: what is told is left to the application.
            proxy_fields: the header fields that these proxies set, ``Forwarded`` or some of
                ``X-Forwarded-For``, ``-Proto``, ``-Host``, ``-Port`` and ``-Prefix``. None: the
                first two of those.
            request_ids: where the ids of requests come from and go; None: requests have none.
            health: the path of a health check that is answered without the application and
                without a thread of the pool: 200, and 503 once the server drains; None for none.
            https_redirect: the port to which requests over plain HTTP are redirected, without the
                application, as they are for it: 301 for GET and HEAD, else 308. None: they are
                served.
            hsts: value of the field ``Strict-Transport-Security`` in responses over HTTPS (RFC
                6797), unless the application sends one; None: there is none.
            challenges: says for a token, at once, what ``/.well-known/acme-challenge/TOKEN`` holds
                (RFC 8555, section 8.3), over HTTP, too; where it says None, and with None, such
                paths are like any other.
            at_thread_end: called in each thread that has served and is about to end, for what
                belongs to the thread: ``django.db.connections.close_all`` closes its connections to
                databases.

        Raises:
            AddressError: one of ``trusted_proxies`` is malformed.
            TypeError: ``application`` is not callable, or a list is a string.
            ValueError: ``underscores`` is not one of `Underscores`; ``proxy_fields`` are unknown,
                of both kinds, or those of no proxy; a path in ``static`` is none that files can be
                mounted at; ``health`` is not a path; ``https_redirect`` is no port; ``hsts`` is no
                value of that field.
        """
        if not callable(application):
            raise TypeError(f"the application is not callable: {application!r}")
        self._application = application
        self._multithread = multithread
        self._multiprocess = multiprocess
        self._max_body = max_body
        self._stream_bodies = stream_bodies
        self._names = EnvironNames(Underscores(underscores))
        self._access_log = access_log
        self._reserved = reserved
        self._executor = executor
        self._at_thread_end = at_thread_end
        if trusted_proxies is not None:
            self._proxies: Proxies | None = Proxies(trusted_proxies, proxy_fields, underscores)
        elif proxy_fields is not None:
            raise ValueError("proxy_fields needs trusted_proxies")
        else:
            self._proxies = None
        self._mounts = Mounts(static) if static else None
        self._ids = None if request_ids is None else IdSource(request_ids)
        self._echo_ids = request_ids is not None and request_ids.echo
        if health is not None and not health.startswith("/"):
            raise ValueError(f"health {health!r} is not a path; it must begin with /")
        self._health = health
        self._line: RequestLine | None = None
        self._heads = ResponseHeads()
        self._templates: tuple[dict[Peer, Environ], dict[Peer, Environ]] = {}, {}
        self._memory = HeadCache()
        self._gate = None
        if https_redirect is not None or challenges is not None:
            self._gate = OwnAnswers(https_redirect, challenges)
        self._answers_alone = health is not None or self._gate is not None
        self._hsts = None if hsts is None else check_hsts(hsts)

    # -- receiving: any thread, never waiting ----------------------------------------------------

    def receive(self, connection: Connection) -> State:
        """Receive a head, then a body, as far as they have arrived."""
        state = connection.state
        if state is State.BODY:
            return self._receive_body(connection)
        # What is buffered in IDLE was sent behind the last request, and not looked at.
        if state is _HEAD or not connection.buffered:
            count = connection.fill()
            if count is None:
                return state
            if count == 0:
                return State.CLOSED
        state = self._receive_head(connection)
        while state is _IDLE and connection.buffered and not connection.unsent:
            state = self._receive_head(connection)  # what was sent behind a health check
        return state

    def _receive_head(self, connection: Connection) -> State:
        head = None
        try:
            head = _take_head(connection)
            if head is None:
                return _HEAD
            request = self._read(head, connection)
            if self._answers_alone and (state := self._answer_alone(connection, request)):
                return state
            if request.framing is _NO_BODY:
                connection.context = request
                return _READY
            if self._mount(request) is not None:
                connection.context = request
                return self._refuse(connection, *refusal(request))
            return self._begin_body(connection, request)
        except HeadError as error:
            return self._refuse(connection, error.status, error.reason, raw=head)

    def _read(self, head: bytes, connection: Connection) -> Request:
        """Make a request of its head and what is known of its client. Raises `HeadError`."""
        peer = connection.peer
        proxies = self._proxies
        names = self._names if proxies is None else proxies.names(peer)
        template = self._templates[connection.secure].get(connection.local)
        if template is None:
            template = self._remember_template(connection.local, connection.secure)
        request = Request(head, template, names, self._memory)
        environ = request.environ
        environ["REMOTE_ADDR"] = peer.host
        environ["REMOTE_PORT"] = str(peer.port)
        if connection.proxy is not None:
            environ["rocket.peer"] = str(connection.proxy)
        if connection.environ is not None:
            environ.update(connection.environ)
        if proxies is not None and names is proxies.trusted_names:
            proxies.apply(environ, peer)
            client = environ["REMOTE_ADDR"]
            connection.client = "" if client == peer.host else client
        if self._ids is not None:
            request.request_id = self._ids.assign(request.environ, peer)
        return request

    def _answer_alone(self, connection: Connection, request: Request) -> State | None:
        """Answer without the application; None where it has to."""
        if request.environ["PATH_INFO"] == self._health:
            return self._answer_health(connection, request)
        answer = None if self._gate is None else self._gate.answer(request)
        return None if answer is None else self._give(connection, request, answer)

    def _answer_health(self, connection: Connection, request: Request) -> State:
        data, keep_alive = answer_health(
            request,
            draining=connection.draining,
            headers=self._own_fields(connection, request),
            clock=self._heads.clock,
        )
        connection.write(data)
        return self._await_next(connection, keep_alive=keep_alive)

    def _give(self, connection: Connection, request: Request, answer: Answer) -> State:
        keep_alive = request.keep_alive and request.modern and not connection.draining
        keep_alive = keep_alive and request.framing is Framing.NONE  # a body is not looked at
        body = request.method != "HEAD"
        connection.write(
            plain(
                answer.status,
                answer.text,
                body=body,
                keep_alive=keep_alive,
                headers=[*answer.headers, *self._own_fields(connection, request)],
                clock=self._heads.clock,
            )
        )
        if self._access_log is not None:
            size = len(answer.text) + 1 if body else 0
            self._access_log.refused(
                connection, request, int(answer.status[:3]), reason=answer.reason, size=size
            )
        return self._await_next(connection, keep_alive=keep_alive)

    def _await_next(self, connection: Connection, *, keep_alive: bool) -> State:
        """After an answer without the application."""
        if not keep_alive:
            return State.LINGER
        # From IDLE to IDLE is no move, but the client's time for another request begins.
        connection.deadline = time.monotonic() + connection.timeouts.keep_alive
        return State.IDLE

    def _own_fields(self, connection: Connection, request: Request | None) -> list[tuple[str, str]]:
        """What responses without the application have besides what they say."""
        fields = []
        if self._echo_ids and request is not None:
            fields.append((HEADER, request.request_id))
        if self._hsts is not None:
            # A request that takes too long may be done with by now, in its thread.
            environ = getattr(request, "environ", None)
            if connection.secure if environ is None else is_secure(environ):
                fields.append((HSTS, self._hsts))
        return fields

    def _mount(self, request: Request) -> Mount | None:
        """The static files that answer ``request`` instead of the application."""
        return None if self._mounts is None else self._mounts.find(request.environ["PATH_INFO"])

    def _begin_body(self, connection: Connection, request: Request) -> State:
        connection.context = request
        if self._stream_bodies:
            passage = BodyBuffer()
            request.body = body = self._make_body(request, passage, self._max_body)
            request.stream = io.BufferedReader(BodyStream(connection, request, body, passage))
            request.environ["wsgi.input"] = request.stream
            return State.READY
        host = connection.host
        request.spool = spool = Spool(host.input, host.disk, connection)
        request.body = self._make_body(request, spool, host.disk.longest)
        try:
            spool.announce(request.length)
            if request.body.take(connection):
                return self._complete(request, spool)
        except SpoolError:
            return self._refuse_body(connection)
        if request.expects and not connection.buffered:
            connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return State.BODY

    def _make_body(self, request: Request, store: Store, longest: int) -> LengthBody | ChunkedBody:
        """What takes a body of up to ``longest`` bytes into ``store``. Raises `HeadError`."""
        longest = min(longest, self._max_body)
        if request.framing is Framing.CHUNKED:
            return ChunkedBody(longest, store)
        if request.length > longest:
            raise HeadError(413, "the request body is too long")
        return LengthBody(request.length, store)

    def _receive_body(self, connection: Connection) -> State:
        request = connection.context
        try:
            for _ in range(_FILLS):
                count = connection.fill(RECEIVE_SIZE)
                if count is None:
                    return State.BODY
                if count == 0:
                    return State.CLOSED
                connection.transferred(count)
                if request.body.take(connection):
                    return self._complete(request, request.spool)
        except HeadError as error:
            return self._refuse(connection, error.status, error.reason)
        except SpoolError:
            return self._refuse_body(connection)
        return State.BODY

    def _refuse_body(self, connection: Connection) -> State:
        """There is no room for the body, or it was given up for others."""
        connection.close_reason = CloseReason.OVERLOADED
        return self._refuse(
            connection,
            503,
            "the server has no room for this upload; try again later",
            [("Retry-After", _RETRY_UPLOAD)],
        )

    def _complete(self, request: Request, spool: Spool) -> State:
        request.environ["wsgi.input"] = spool.open()
        request.environ["CONTENT_LENGTH"] = str(spool.size)
        return State.READY

    def _remember_template(self, local: Peer, secure: bool) -> Environ:
        templates = self._templates[secure]
        if len(templates) >= _TEMPLATES:
            templates.clear()
        templates[local] = template = self._make_template(local, secure)
        return template

    def _make_template(self, local: Peer, secure: bool) -> Environ:
        """The part of the environ that all requests to one address share."""
        unix = local.is_unix
        template: Environ = {
            "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost" if unix else local.host,
            "SERVER_PORT": ("443" if secure else "80") if unix else str(local.port),
            "SERVER_SOFTWARE": SERVER,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if secure else "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": self._multithread,
            "wsgi.multiprocess": self._multiprocess,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
            **_ROOM,
        }
        if secure:
            template["HTTPS"] = "on"
        if self._executor is not None:
            template["wsgiorg.executor"] = self._executor
            template["wsgiorg.futures"] = self._executor.futures
        return template

    # -- serving: a thread of the pool -----------------------------------------------------------

    def serve(self, connection: Connection) -> State:
        """Call the application for the request that `receive` completed."""
        request: Request = connection.context
        connection.context = None
        self._line = request.line
        environ = request.environ
        if self._hsts is None or not is_secure(environ):
            response = Response(connection, request, self._heads)
        else:
            response = StrictResponse(connection, request, self._heads)
            response.hsts = self._hsts
        if self._echo_ids:
            response.echo = request.request_id
        if self._access_log is not None:
            request.record = self._access_log.begin(connection, request.line, environ)
        if connection.turn is not None:
            connection.turn.offer(request)
        mount = None if self._mounts is None else self._mount(request)
        result: Any = None
        try:
            if mount is None:
                environ["wsgi.early_hints"] = response.hint
                environ["rocket.client_gone"] = response.client_gone
                environ["rocket.queue_time"] = connection.queue_time
                if "HTTP_UPGRADE" in environ:
                    response.upgrade = offer_upgrade(connection, request)
                result = self._application(environ, response.start)
                response.send(result)
            else:
                mount.files.answer(request, mount.prefix, response)
        except ClientGone:
            response.keep_alive = False
            if not response.handed_over:
                response.error = "the client is gone"
                raise
        except BaseException as error:  # noqa: BLE001 - an application must not end a thread
            self._crashed(connection, request, response, error)
        finally:
            self._finish(result, connection, request, response)
        return _IDLE if response.keep_alive else self._part(connection, request, response)

    def _part(self, connection: Connection, request: Request, response: Response) -> State:
        """How a connection ends that no further request may follow on."""
        if response.handed_over:
            return State.LINGER
        if response.cut:
            connection.close_reason = CloseReason.ERROR
            if response.ends_connection:
                connection.break_off()
            return State.CLOSED
        return State.LINGER if self._must_linger(connection, request, response) else State.CLOSED

    def _must_linger(self, connection: Connection, request: Request, response: Response) -> bool:
        """Whether closing at once could lose the response (RFC 9112, section 9.6).

        It could where the client sends on, because it did not ask for the end; and where the end of
        the connection is the end of the body, a process that the application forked could hold it.
        """
        if request.keep_alive or response.ends_connection or not request.received:
            return True
        try:
            return connection.buffered > 0 or bool(connection.fill())
        except OSError:
            return False  # the client is gone, and has what it wanted

    def _finish(
        self, result: Any, connection: Connection, request: Request, response: Response
    ) -> None:
        try:
            if hasattr(result, "close"):
                result.close()
        except BaseException as error:  # noqa: BLE001 - an application must not end a thread
            connection.host.faults.report(_log, error, "%s: close() failed", request)
        if request.stream is not None:
            request.stream.close()  # what follows on the connection is not for this request
        if request.body is not None:
            request.body.store.close()
        response.over = True
        if response.upgrade is not None:
            response.take_back(response.upgrade)
        log, record = self._access_log, request.record
        if log is not None and record is not None and not response.overtaken:
            log.end(record, request.environ, response)
        del request.environ  # which refers to the response, which refers to the request

    def _crashed(
        self, connection: Connection, request: Request, response: Response, error: BaseException
    ) -> None:
        if response.handed_over and isinstance(error, StopIteration | ConnectionError):
            return  # so frameworks say that there is no response
        connection.host.faults.report(_log, error, "%s: the application failed", request)
        response.error = "the application failed"
        if response.handed_over:
            return
        if response.began:
            response.give_up()
            return
        response.claim()
        text = "The application failed to answer this request."
        body = request.method != "HEAD"
        response.status = 500
        response.sent = len(text) + 1 if body else 0
        response.keep_alive = response.keep_alive and request.modern and request.received
        connection.write(
            plain(
                "500 Internal Server Error",
                text,
                body=body,
                keep_alive=response.keep_alive,
                headers=self._own_fields(connection, request),
                clock=self._heads.clock,
            )
        )

    # -- when things go wrong --------------------------------------------------------------------

    def expired(self, connection: Connection) -> State:
        """A request that does not arrive in time is answered 408."""
        if connection.state is State.IDLE:
            return State.CLOSED
        return self._refuse(connection, 408, "the request did not arrive in time")

    def overloaded(self, connection: Connection) -> State:
        """A request that waited too long, or behind too many others, is answered 503."""
        return self._refuse(
            connection, 503, "all threads are busy; try again later", [("Retry-After", "1")]
        )

    def urgent(self, connection: Connection) -> bool:
        """Whether ``reserved`` says so, or a file is asked for."""
        request: Request = connection.context
        if self._mount(request) is not None:
            return True
        return self._reserved is not None and self._reserved(request.environ)

    def overdue(self, connection: Connection, context: Any) -> State:
        """A request that runs for too long is answered 504 while its thread still runs.

        Not 503, which says that the request may be sent again: it has begun.
        """
        return self._refuse(
            connection, 504, "the application did not answer in time", request=context
        )

    def doing(self) -> str:
        """The method and the target of the request that is, or was last, being served."""
        line = self._line
        return "" if line is None else f"{line.method} {line.target}"

    def started(self) -> None:
        """The executor takes work."""
        if self._executor is not None:
            self._executor.open()

    def stopped(self) -> None:
        """The executor takes no more work."""
        if self._executor is not None:
            self._executor.close()

    def retired(self) -> None:
        """What belongs to the thread is released."""
        if self._at_thread_end is not None:
            self._at_thread_end()

    def failed(self, connection: Connection, error: BaseException) -> State:
        """The server itself failed, perhaps for want of disk space."""
        del error
        if connection.unsent or connection.context is None:
            return State.CLOSED
        return self._refuse(connection, 500, "the server failed to receive this request")

    def closed(self, connection: Connection) -> None:
        """Drop a request that was not served."""
        request: Request | None = connection.context
        if request is None:
            return
        self._drop(connection)
        if self._access_log is not None:
            reason = connection.close_reason or CloseReason.CLIENT
            self._access_log.refused(connection, request, 0, reason=reason.value)

    def _drop(self, connection: Connection) -> None:
        request, connection.context = connection.context, None
        if request is not None and request.body is not None:
            request.body.store.close()

    def _refuse(
        self,
        connection: Connection,
        status: int,
        reason: str,
        headers: Sequence[tuple[str, str]] = (),
        *,
        request: Request | None = None,
        raw: bytes | None = None,
    ) -> State:
        """Answer without the application. ``raw`` is what came of a head that is not understood."""
        phrase = HTTPStatus(status).phrase
        request = request or connection.context
        body = request is None or request.method != "HEAD"
        text = f"{phrase}: {reason}."
        connection.write(
            plain(
                f"{status} {phrase}",
                text,
                body=body,
                keep_alive=False,
                headers=[*headers, *self._own_fields(connection, request)],
                clock=self._heads.clock,
            )
        )
        if self._access_log is not None:
            self._access_log.refused(
                connection,
                request,
                status,
                reason=reason,
                size=len(text) + 1 if body else 0,
                raw=connection.peek(_RAW_LINE) if raw is None else raw[:_RAW_LINE],
            )
        self._drop(connection)
        return State.LINGER

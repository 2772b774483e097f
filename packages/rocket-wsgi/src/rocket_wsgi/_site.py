"""What is served, and how: the settings of all workers, checked once."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import Final, TypedDict
from wsgiref.types import WSGIApplication

from rocket_core import Connection, Networks, Peer
from rocket_core.extending import ClientBuckets
from rocket_wsgi._access_log.access_log import AccessLog
from rocket_wsgi._clock import SERVER
from rocket_wsgi._compression.coders import Coders
from rocket_wsgi._compression.compressed_files import CompressedFiles
from rocket_wsgi._compression.compressing_application import CompressingApplication
from rocket_wsgi._environ.field_names import EnvironNames, Underscores
from rocket_wsgi._environ.proxies import Proxies
from rocket_wsgi._environ.request import Request
from rocket_wsgi._environ.request_id import HEADER, IdSource, RequestIds
from rocket_wsgi._environ.trailers import NONE
from rocket_wsgi._executor import Executor
from rocket_wsgi._group.shared_bus import SHARED
from rocket_wsgi._offers.around import Around
from rocket_wsgi._own_answers import OwnAnswers
from rocket_wsgi._push.websocket_offer import WebSocketDefaults
from rocket_wsgi._response.file_wrapper import FileWrapper
from rocket_wsgi._response.response import SERVER_TIMING
from rocket_wsgi._static.files import StaticFiles
from rocket_wsgi._static.mounts import Mount, Mounts
from rocket_wsgi._types import Environ, Headers

MAX_BODY: Final = 1 << 30
"""The default of ``max_body``, in bytes."""

_HSTS: Final = "Strict-Transport-Security"
_HSTS_VALUE: Final = re.compile(
    r"max-age=[0-9]{1,10}(?P<subdomains>; ?includeSubDomains)?(?P<preload>; ?preload)?",
    re.ASCII | re.IGNORECASE,
)

_LOOPBACK: Final = Networks(["127.0.0.0/8", "::1"])

_SET_BY_REQUESTS: Final = dict.fromkeys(
    (
        "PATH_INFO",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "REQUEST_METHOD",
        "REQUEST_URI",
        "SERVER_PROTOCOL",
        "rocket.cancelled",
        "rocket.client_gone",
        "rocket.deferred",
        "rocket.events",
        "rocket.queue_time",
        "rocket.send_trailers",
        "wsgi.early_hints",
        "wsgi.input",
    )
)
"""The keys that every request sets. The template has them, so that its copies need not grow."""


class SiteSettings(TypedDict, total=False):
    """The keyword arguments of `Site`, for type checkers."""

    multithread: bool
    multiprocess: bool
    max_body: int
    stream_bodies: bool
    underscores: Underscores
    access_log: AccessLog | None
    reserved: Callable[[Environ], bool] | None
    static: Mapping[str, StaticFiles] | None
    executor: Executor | None
    trusted_proxies: Iterable[str] | None
    proxy_fields: Iterable[str] | None
    deadline_field: str | None
    request_rate_per_client: float | None
    request_burst_per_client: int | None
    request_ids: RequestIds | None
    health: str | None
    https_redirect: int | None
    hsts: str | None
    challenges: Callable[[str], str | None] | None
    at_thread_end: Callable[[], object] | None
    around: Around | None
    websocket_max_message: int
    websocket_ping: float | None
    h2c: bool
    server_timing: bool
    compress: bool
    server_header: str | None


class Site:
    """An application and the settings with which it is served.

    The constructor checks everything. Any number of workers may then be made of one site, without
    another check: ``Server(lambda: WSGIWorker(site), listeners)``. Nothing changes the settings of
    a site afterwards. What it remembers, such as the names of header fields, are results of pure
    functions in dictionaries whose single operations are atomic; so all threads share them.

    The attributes are for the workers.

    Attributes:
        application: the WSGI application, whose responses are compressed already.
        compressed_files: the compressed static files, or None if they are sent as they are.
        max_body: the maximum size of a request body in bytes.
        stream_bodies: whether the application reads bodies while they arrive.
        names: the environ keys of header fields.
        proxies: the trusted proxies, or None.
        access_log: the access log, or None.
        reserved: tells whether a request is urgent, or None.
        executor: the executor of all workers, or None.
        own_answers: decides which requests are answered without the application; None if the
            application answers all requests.
        mounts: the static files, or None.
        reserves: whether any request is urgent.
        at_thread_end: is called in each thread that is about to end, or None.
        around: makes the context manager in which callbacks run, or None.
        websockets: what holds for websockets unless the application says otherwise.
        server_header: the value of the field ``Server``; empty if it is not sent.
        adds_fields: whether `own_fields` may return anything.
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
        deadline_field: str | None = None,
        request_rate_per_client: float | None = None,
        request_burst_per_client: int | None = None,
        request_ids: RequestIds | None = None,
        health: str | None = None,
        https_redirect: int | None = None,
        hsts: str | None = None,
        challenges: Callable[[str], str | None] | None = None,
        at_thread_end: Callable[[], object] | None = None,
        around: Around | None = None,
        websocket_max_message: int = 1 << 20,
        websocket_ping: float | None = 25.0,
        h2c: bool = False,
        server_timing: bool = False,
        compress: bool = False,
        server_header: str | None = None,
    ) -> None:
        """Check the settings with which ``application`` is to be served.

        Args:
            application: any WSGI callable (PEP 3333).
            multithread: the value of ``wsgi.multithread``: whether other threads of the process
                may call the application at the same time.
            multiprocess: the value of ``wsgi.multiprocess``: whether other processes serve the
                application, too.
            max_body: the maximum size of a request body in bytes. A larger body is answered 413.
            stream_bodies: whether the application is called before the body has arrived.
                ``wsgi.input`` then waits for the client, and another thread takes the place of the
                waiting one.
            underscores: the treatment of header fields with an underscore in their name.
            access_log: the log that gets a line for each request, except for requests of
                ``health``. None: there is no log.
            reserved: a function that takes an environ, and returns without waiting whether the
                request is urgent: it is served even while all threads are busy. It is meant for
                health checks of the application.
            static: the files that are served instead of calling the application, by mount path:
                ``{"/static": StaticFiles("public")}``. Requests for them are urgent, too.
            executor: runs work that requests begin and need not wait for; one for all workers.
            trusted_proxies: the networks of trusted proxies, in the form of
                `rocket_core.Networks`. Fields such as ``X-Forwarded-For`` are accepted from these
                proxies only, and removed from all other requests. An empty list: they are removed
                from every request. None: they are passed to the application unchanged.
            proxy_fields: the header fields that the trusted proxies set: ``Forwarded``, or some of
                ``X-Forwarded-For``, ``-Proto``, ``-Host``, ``-Port`` and ``-Prefix``. None: the
                first two of these ``X-Forwarded`` fields.
            deadline_field: the name of a header field in which the trusted proxies tell how long
                they wait for the answer, such as ``X-Envoy-Expected-Rq-Timeout-Ms`` or
                ``grpc-timeout``. ``rocket.cancelled`` is set when that is over. Its value is a
                number of seconds; of milliseconds if the name ends in ``-Ms``; or a number with
                one of the units H, M, S, m, u and n. The field of all other requests is removed.
            request_rate_per_client: the requests that a client may send in a second, on average.
                Further ones are answered 429. A client is an IPv4 address, or the /64 network of an
                IPv6 address; behind a trusted proxy it is what that tells. None: no limit.
            request_burst_per_client: the requests that it may send at once. None: those of ten
                seconds.
            request_ids: the origin and the use of request IDs. None: requests have no IDs.
            health: the path of a health check, which is answered without the application and
                without a thread of the pool: 200, or 503 while the server drains. None: there is
                no such path.
            https_redirect: the port of HTTPS to which requests over plain HTTP are redirected:
                with 301 for GET and HEAD, otherwise with 308. None: they are served.
            hsts: the value of the field ``Strict-Transport-Security`` in responses over HTTPS (RFC
                6797), unless the application sends the field. None: the field is not added.
            challenges: a function that takes the token of a path
                ``/.well-known/acme-challenge/TOKEN``, and returns without waiting the content of
                that resource (RFC 8555, section 8.3). If it returns None, or is None, the path is
                served like any other.
            at_thread_end: a function that is called in each thread that has served requests and is
                about to end, for example ``django.db.connections.close_all``.
            around: a function that returns a context manager. Each callback of a websocket, an
                event stream or a deferred answer runs in one, for example in
                `rocket_wsgi.django.around`, or ``app.app_context`` of Flask.
            websocket_max_message: the maximum size of a client's message in bytes, where the
                application accepts a websocket without ``max_message``.
            websocket_ping: the seconds of silence after which the client of a websocket is asked
                for an answer, where the application accepts it without ``ping``. None: never.
            h2c: whether clients may speak HTTP/2 without TLS, if they know that the server does:
                all clients at a loopback address or on a Unix socket, at other addresses trusted
                proxies only.
            server_timing: whether responses have a field ``Server-Timing: queue;dur=1.234`` (W3C
                Server Timing) with the milliseconds for which the request waited for a thread,
                beside one that the application sends. Responses that need no thread have none.
            compress: whether to compress bodies of text from 1 KiB on for clients that accept it
                (RFC 9110, section 12.5.3): by zstd or br if the extra of that name is installed,
                zstd also on Python 3.14, otherwise by gzip. Not compressed are responses that have
                a Content-Encoding, a Content-Range or a digest, or ``Cache-Control: no-transform``,
                and what is sent after the view. Static files are compressed once, and remembered,
                up to 32 MiB.
            server_header: the value of the field ``Server`` in responses, unless the application
                sends the field. Empty: the field is not added. None: it is `SERVER`.

        Raises:
            AddressError: an entry of ``trusted_proxies`` is malformed.
            TypeError: ``application`` or ``around`` is not callable, or a string is given instead
                of a list, or ``websocket_max_message`` is not an int.
            ValueError: ``underscores`` is not a member of `Underscores`; ``proxy_fields`` has an
                unknown field, or fields of both kinds, or is given without ``trusted_proxies``;
                ``deadline_field`` is not the name of a field, or is given without them; the rate or
                the burst of requests is not above 0, or the burst is given without the rate; a key
                of ``static`` is not a path at which files can be mounted; ``health`` is not a
                path; ``https_redirect`` is not a port; ``hsts`` is not a value of that field;
                ``websocket_max_message`` is less than 1; ``websocket_ping`` is not a time;
                ``server_header`` is not printable ASCII.
        """
        if not callable(application):
            raise TypeError(f"the application is not callable: {application!r}")
        if around is not None and not callable(around):
            raise TypeError(f"around is not callable: {around!r}; give the function itself")
        coders = Coders() if compress else None
        self.application = (
            application if coders is None else CompressingApplication(application, coders)
        )
        self.compressed_files: Final = None if coders is None else CompressedFiles(coders)
        self.max_body = max_body
        self.stream_bodies = stream_bodies
        self.names: Final = EnvironNames(Underscores(underscores))
        self.proxies: Final = _make_proxies(
            trusted_proxies, proxy_fields, deadline_field, underscores
        )
        self.access_log = access_log
        self.reserved = reserved
        self.executor = executor
        buckets = _make_buckets(request_rate_per_client, request_burst_per_client)
        own_answers = OwnAnswers(health, https_redirect, challenges, buckets)
        self.own_answers: Final = own_answers or None
        self.mounts: Final = Mounts(static) if static else None
        self.reserves: Final = self.mounts is not None or reserved is not None
        self.at_thread_end = at_thread_end
        self.around: Final = around
        self.websockets: Final = WebSocketDefaults(websocket_max_message, websocket_ping)
        self.server_header: Final = (
            SERVER if server_header is None else _check_server(server_header)
        )
        self._h2c = h2c
        self._multithread = multithread
        self._multiprocess = multiprocess
        self._request_ids = request_ids
        self._echo_ids = request_ids is not None and request_ids.echo
        self._hsts = None if hsts is None else _check_hsts(hsts)
        self._server_timing = server_timing
        self.adds_fields: Final = self._echo_ids or self._hsts is not None or server_timing

    def make_template(self, local: Peer, secure: bool) -> Environ:
        """Make the part of the environ that all requests to the address ``local`` share.

        The caller keeps the template, and copies it for each request.
        """
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
            "rocket.bus": SHARED,
            "rocket.trailers": NONE,
            **_SET_BY_REQUESTS,
        }
        if secure:
            template["HTTPS"] = "on"
        if self.executor is not None:
            template["wsgiorg.executor"] = self.executor
            template["wsgiorg.futures"] = self.executor.futures
        return template

    def speaks_http2(self, connection: Connection) -> bool:
        """Return whether ``connection``, which begins with the preface of HTTP/2, may speak it.

        Over TLS it may if the handshake has agreed on that (RFC 9113, section 3.2). That a proxy
        has announced a client that uses TLS says nothing about the proxy's own connection.
        """
        if connection.protocol == "h2":
            return True
        own_tls = connection.environ is not None or (connection.secure and connection.proxy is None)
        if not self._h2c or own_tls:
            return False
        local = connection.local
        if connection.proxy is None and (local.is_unix or local.host in _LOOPBACK):
            return True
        return self.proxies is not None and self.proxies.trusts(connection.proxy or connection.peer)

    def make_ids(self) -> IdSource | None:
        """Make the source of request IDs for one thread; None if requests have no IDs."""
        return None if self._request_ids is None else IdSource(self._request_ids)

    def is_urgent(self, request: Request) -> bool:
        """Return whether ``request`` is for a file, or urgent by ``reserved``."""
        if self.find_mount(request) is not None:
            return True
        return self.reserved is not None and self.reserved(request.environ)

    def find_mount(self, request: Request) -> Mount | None:
        """Return the static files that answer ``request``; None if the application answers."""
        return None if self.mounts is None else self.mounts.find(request.environ["PATH_INFO"])

    def own_fields(
        self, request: Request | None, *, secure: bool, queued: float | None = None
    ) -> Headers:
        """Return the fields that the server adds to a response, unless the response has them.

        ``secure`` tells whether the response goes over HTTPS. ``request`` is None if the request
        was not understood. ``queued`` is the time in seconds for which it waited for a thread; None
        if it has none.
        """
        fields: Headers = []
        if self._echo_ids and request is not None:
            fields.append((HEADER, request.request_id))
        if self._hsts is not None and secure:
            fields.append((_HSTS, self._hsts))
        if self._server_timing and queued is not None:
            fields.append((SERVER_TIMING, f"queue;dur={queued * 1e3:.3f}"))
        return fields


def _make_proxies(
    trusted: Iterable[str] | None,
    fields: Iterable[str] | None,
    deadline_field: str | None,
    underscores: Underscores,
) -> Proxies | None:
    if trusted is not None:
        return Proxies(trusted, fields, underscores, deadline_field)
    if fields is not None:
        raise ValueError("proxy_fields needs trusted_proxies")
    if deadline_field is not None:
        raise ValueError("deadline_field needs trusted_proxies")
    return None


def _make_buckets(rate: float | None, burst: int | None) -> ClientBuckets | None:
    if rate is None:
        if burst is not None:
            raise ValueError("request_burst_per_client needs request_rate_per_client")
        return None
    return ClientBuckets(rate, max(ceil(rate * 10), 1) if burst is None else burst)


def _check_hsts(value: str) -> str:
    """Return ``value``, a value of Strict-Transport-Security (RFC 6797, section 6.1).

    Raises `ValueError` for anything else.
    """
    match = _HSTS_VALUE.fullmatch(value)
    if match is None or (match["preload"] and not match["subdomains"]):
        raise ValueError(
            f"hsts {value!r} is not a valid value of Strict-Transport-Security; use "
            "max-age=SECONDS, optionally followed by ; includeSubDomains and after that ; preload"
        )
    return value


def _check_server(value: str) -> str:
    """Return ``value``, a value of the field Server (RFC 9110, section 10.2.4), or nothing.

    Raises `ValueError` for anything else.
    """
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise ValueError(
            f"server_header {value!r} is not a valid value of Server; use printable ASCII, such as "
            "a name and a version: shop/1.0"
        )
    return value

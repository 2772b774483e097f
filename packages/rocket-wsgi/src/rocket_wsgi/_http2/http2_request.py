"""Requests as HTTP/2 sends them, as WSGI environs."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.request import Request
from rocket_wsgi._environ.target import parse_target
from rocket_wsgi._http2.request_head import NO_LENGTH

if TYPE_CHECKING:
    import io

    from rocket_core import Connection
    from rocket_core.extending import Spool
    from rocket_wsgi._environ.request import Cancelling, RequestBody, Store
    from rocket_wsgi._environ.request_record import RequestRecord
    from rocket_wsgi._http2.request_head import RequestHead
    from rocket_wsgi._site import Site
    from rocket_wsgi._types import Environ

VERSION: Final = "HTTP/2"


WEBSOCKET: Final = "websocket"
"""The only protocol that a stream may carry, as ``:protocol`` has it (RFC 8441, section 4)."""

_GET: Final = "GET"
"""The method of an opening handshake, which is an extended CONNECT here (RFC 8441)."""


class HTTP2Body:
    """The body of a request.

    Attributes:
        complete: whether all of it has arrived.
        store: the store to which it is added.
    """

    __slots__ = ("complete", "store")

    def __init__(self, store: Store) -> None:
        self.complete = False
        self.store = store


class HTTP2Request(Request):
    """A request over HTTP/2.

    Attributes:
        length: the announced length of the body, or `NO_LENGTH`.
        tunnel: whether the client asks for another protocol on the stream (RFC 8441).
    """

    __slots__ = ("length", "tunnel")

    def __init__(self, head: RequestHead, environ: Environ, *, ended: bool) -> None:
        """Take over ``environ``. ``ended`` tells that there is no body."""
        self.method = _GET if head.protocol else head.method
        self.target = head.path
        self.version = VERSION
        self.modern = True
        self.keep_alive = True
        self.tunnel = bool(head.protocol)
        self.expects = "HTTP_EXPECT" in environ and not ended and not self.tunnel
        self.environ = environ
        self.length = head.length
        self.body: RequestBody | None = None
        self.cancellation: Cancelling | None = None
        self.spool: Spool | None = None
        self.stream: io.BufferedReader | None = None
        self.record: RequestRecord | None = None
        self.request_id = ""
        if ended or self.tunnel:
            environ["wsgi.input"] = BytesIO()


class RequestReader:
    """Makes the requests of one connection. Its owner alone uses this.

    Attributes:
        client: the client of the latest request, as `Exchange.client` has it.
    """

    __slots__ = ("_connection", "_ids", "_names", "_proxied", "_site", "_template", "client")

    def __init__(self, site: Site, connection: Connection, template: Environ) -> None:
        """Copy ``template``, which is that of the connection's address."""
        peer = connection.peer
        proxies = site.proxies
        self._site = site
        self._connection = connection
        self._ids = site.make_ids()
        self._names = site.names if proxies is None else proxies.names(peer)
        self._proxied = proxies is not None and self._names is proxies.trusted_names
        self.client: str | None = None
        self._template = environ = template.copy()
        environ["SERVER_PROTOCOL"] = VERSION
        environ["REMOTE_ADDR"] = peer.host
        environ["REMOTE_PORT"] = str(peer.port)
        if connection.proxy is not None:
            environ["rocket.peer"] = str(connection.proxy)
        if connection.environ is not None:
            environ.update(connection.environ)

    def read(self, head: RequestHead, *, ended: bool) -> HTTP2Request:
        """Return the request with ``head``. Raises `HeadError`, whose status tells what is wrong.

        A head that comes again is the same object, and keeps the environ that was made of it.
        """
        if head.status:
            raise HeadError(head.status, head.reason)
        environ = head.environ
        if environ is None:
            head.environ = environ = self._make_environ(head)
        request = HTTP2Request(head, environ.copy(), ended=ended)
        if self._proxied:
            client = environ["REMOTE_ADDR"]
            self.client = "" if client == self._connection.peer.host else client
        if self._ids is not None:
            request.request_id = self._ids.assign(request.environ, self._connection.peer)
        return request

    def _make_environ(self, head: RequestHead) -> Environ:
        base = head.base
        if base is not None and base.environ is not None and not self._proxied:
            environ = base.environ.copy()
        else:
            environ = self._read_fields(head)
        path, query, _ = parse_target(_GET if head.protocol else head.method, head.path)
        environ["REQUEST_URI"] = head.path
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        if self._proxied and self._site.proxies is not None:
            self._site.proxies.apply(environ, self._connection.peer)
        return environ

    def _read_fields(self, head: RequestHead) -> Environ:
        environ = self._template.copy()
        environ["REQUEST_METHOD"] = head.method
        if head.protocol:
            # As over HTTP/1.1, so that applications and frameworks find what they know.
            environ["REQUEST_METHOD"] = _GET
            environ["HTTP_CONNECTION"] = "Upgrade"
            environ["HTTP_UPGRADE"] = head.protocol
        environ["HTTP_HOST"] = head.authority
        names = self._names
        for field in head.fields:
            key = names[field.name]
            if key in environ:
                environ[key] += ", " + field.value
            elif key:
                environ[key] = field.value
        if head.length != NO_LENGTH:
            environ["CONTENT_LENGTH"] = str(head.length)  # without leading zeros
        expectation: str | None = environ.get("HTTP_EXPECT")
        if expectation is not None and expectation.lower() != "100-continue":
            raise HeadError(417, "the only expectation this server meets is 100-continue")
        return environ

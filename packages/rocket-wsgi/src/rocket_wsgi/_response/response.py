"""The response to one request: ``start_response``, ``write`` and the body (PEP 3333)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_core import ClientGone
from rocket_core.extending import Hold
from rocket_wsgi._environ.request_id import with_id
from rocket_wsgi._response.early_hints import encode_hints
from rocket_wsgi._response.file_wrapper import FileSpan, FileWrapper
from rocket_wsgi._response.response_head import (
    ApplicationError,
    Headers,
    ResponseHead,
    ResponseHeads,
)

if TYPE_CHECKING:
    from types import TracebackType

    from rocket_core import Connection
    from rocket_core.extending import UpgradedSocket
    from rocket_wsgi._clock import Clock
    from rocket_wsgi._http1.request import Request

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

_log = logging.getLogger("rocket_wsgi")

_JOIN_BOUND: Final = 64 * 1024
"""Bytes up to which copying a body part behind its head is cheaper than a system call."""

_HEAD_SIZE: Final = 2 * 1024
"""Bytes that the head of a response hardly exceeds."""


class _Coding(Enum):
    """How the client finds the end of the body (RFC 9112, section 6.3)."""

    NONE = "no body"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


# An attribute of an enum costs a search, and these are needed several times a request.
_NONE: Final = _Coding.NONE
_LENGTH: Final = _Coding.LENGTH
_CHUNKED: Final = _Coding.CHUNKED


class Response:
    """One response; its methods are called by the application and by the worker, in one thread.

    Attributes:
        status: the code that was sent, 0 before.
        sent: bytes of the body sent so far, without their coding.
        cut: whether the body is incomplete.
        keep_alive: whether another request may follow.
        upgrade: what the application may take over the connection with, if anything.
        echo: the id that the response tells; None where it tells none.
        error: why the response is not the application's, or not whole; None where it is.
        over: whether the request is done with, so that nothing may use the connection for it.
    """

    __slots__ = (
        "_coding",
        "_connection",
        "_head",
        "_heads",
        "_lease",
        "_left",
        "_request",
        "_started",
        "cut",
        "echo",
        "error",
        "keep_alive",
        "over",
        "sent",
        "status",
        "upgrade",
    )

    def __init__(self, connection: Connection, request: Request, heads: ResponseHeads) -> None:
        self._connection = connection
        self._request = request
        self._heads = heads
        self._started: tuple[str, Headers] | None = None
        self._head: ResponseHead | None = None
        self._coding = _NONE
        self._left = 0
        self.status = 0
        self.sent = 0
        self.cut = False
        self.error: str | None = None
        self.echo: str | None = None
        self.over = False
        self.upgrade: UpgradedSocket | None = None
        self._lease = connection.lease
        self.keep_alive = request.keep_alive and not connection.server.draining

    @property
    def began(self) -> bool:
        """Whether the head has been sent, so that nothing can be taken back."""
        return self._head is not None

    @property
    def ends_connection(self) -> bool:
        """Whether the end of the connection is the end of the body."""
        return self._coding is _Coding.CLOSE

    # -- for the application ---------------------------------------------------------------------

    def start(
        self, status: str, headers: Headers, exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """``start_response``; returns ``write``."""
        if exc_info is not None:
            try:
                if self._head is not None and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # PEP 3333: no circular reference
        elif self._started is not None:
            raise ApplicationError("start_response was called twice without exc_info")
        if self.echo is not None:
            headers = with_id(headers, self.echo)
        self._started = status, headers
        return self.write

    def write(self, data: bytes, /) -> None:
        """``write``: send a part of the body. Raises `ApplicationError` beyond its length."""
        if self._put(data):
            raise ApplicationError("write() was called with more than Content-Length says")

    def hint(self, headers: Iterable[tuple[str, str]], /) -> None:
        """``wsgi.early_hints``: send a 103 response, at once; clients of HTTP/1.0 get none.

        Raises `ApplicationError` for headers that cannot be sent, and once the response has begun.
        """
        if self.over or self.began or self.handed_over:
            raise ApplicationError("early hints must be sent before the response")
        data = encode_hints(headers)
        if not self._request.modern or not data:
            return
        if self._lease is None:
            self._connection.write(data)
            return
        with self._lease.use():
            self._connection.write(data)

    def client_gone(self) -> bool:
        """``rocket.client_gone``: whether the client has closed its side, so far as is known."""
        if self.over:
            return True
        if self._lease is None:
            return self._connection.client_left()
        try:
            with self._lease.use():
                return self._connection.client_left()
        except ClientGone:
            return True

    def _put(self, data: bytes, in_memory: bool = False) -> bool:
        """Send a part of the body, after the head if need be; whether it was too long.

        ``in_memory`` says that all that follows is in memory already; so does a part that makes the
        body complete.
        """
        if not isinstance(data, bytes):
            raise ApplicationError(f"a part of the body is {type(data).__name__}, not bytes")
        if not data:
            return False
        head = b"" if self._head is not None else self._begin(None)
        if self._coding is _NONE:
            if head:
                self._connection.write(head)
            return False
        excess = False
        if self._coding is _LENGTH:
            excess = len(data) > self._left
            data = data[: self._left]
            self._left -= len(data)
        self.sent += len(data)
        if self._coding is _CHUNKED:
            self._send(head + b"%x\r\n" % len(data), data, b"\r\n", in_memory)
        else:
            in_memory = in_memory or (self._coding is _LENGTH and not self._left)
            self._send(head, data, b"", in_memory)
        return excess

    # -- who may use the connection --------------------------------------------------------------

    @property
    def handed_over(self) -> bool:
        """Whether the application has taken the connection over."""
        return self.upgrade is not None and self.upgrade.taken

    @property
    def overtaken(self) -> bool:
        """Whether the request took too long, and the server has answered."""
        return self._lease is not None and self._lease.hold is Hold.OVERTAKEN

    def claim(self) -> None:
        """Make sure that nobody else answers. Raises `ClientGone` when somebody has."""
        if self._lease is not None:
            self._lease.claim()
        if self.upgrade is not None and not self.upgrade.withdraw():
            raise ClientGone("the application has taken the connection over")

    def take_back(self, upgrade: UpgradedSocket) -> None:
        """The application is done with a connection that it was offered."""
        upgrade.end()
        if upgrade.taken:
            self.status = 101
            self.sent = upgrade.sent
            self.keep_alive = False

    # -- for the worker --------------------------------------------------------------------------

    def send(self, result: Iterable[bytes]) -> None:
        """Send all of what the application returned. Raises what its iterator raises."""
        if type(result) is FileWrapper and self._send_file(result):
            return
        try:
            count = len(result)  # type: ignore[arg-type]
        except TypeError:
            count = -1
        if 0 <= count <= 1 and self._head is None:
            self._send_whole(result)
            return
        in_memory = type(result) is list or type(result) is tuple
        for part in result:
            if self._put(part, in_memory):
                self._log_excess()
            if self._complete():
                break  # PEP 3333 asks to stop iterating
        self._end()

    def _complete(self) -> bool:
        """Whether nothing more can be sent: all that was promised is, or the head says all."""
        if self._head is None:
            return False
        return self._coding is _NONE or (self._coding is _LENGTH and not self._left)

    def _send_whole(self, result: Iterable[bytes]) -> None:
        data = b"".join(result)
        size = len(data)
        head = self._begin(size)
        if self._coding is _NONE:
            self._connection.write(head)
            return
        excess = size - self._left
        if excess > 0:
            self._log_excess()
            data = data[: self._left]
        self.sent = len(data)
        self._left = 0
        if size <= _JOIN_BOUND:
            self._connection.write_rest(head + data)
        else:
            self._send(head, data, b"", True)
        if excess < 0:
            self._cut_short()

    def _send_file(self, wrapper: FileWrapper) -> bool:
        span = wrapper.span()
        if span is None or self._head is not None:
            return False
        self.send_span(span)
        return True

    def prefers_bytes(self, size: int) -> bool:
        """Whether a body of ``size`` bytes costs less in memory than as part of a file.

        So it does up to where it is copied behind its head, unless the client were waited for.
        """
        return size <= _JOIN_BOUND and self._connection.holds(size + _HEAD_SIZE)

    def send_span(self, span: FileSpan) -> None:
        """Send part of a file as all of the body. Raises `OSError` when no descriptor is left."""
        head = self._begin(span.size)
        self._connection.write(head)
        if self._coding is _NONE:
            return
        count = min(span.size, self._left)
        self._left -= count
        self.sent = count
        self._connection.send_file(span.descriptor, span.offset, count)
        if self._left:
            self._cut_short()

    def send_spans(self, descriptor: int, spans: Sequence[tuple[bytes, int, int]]) -> None:
        """Send parts of a file, each (bytes before it, offset, count), as all of the body.

        Never waits for the client. Raises `OSError` when no descriptor is left.
        """
        size = sum(len(before) + count for before, _, count in spans)
        (before, offset, count), *others = spans
        self.sent = size
        head = self._begin(size)
        self._left = 0
        self._connection.send_spans(descriptor, [(head + before, offset, count), *others])

    def _end(self) -> None:
        if self._head is None:
            head = self._begin(0)
            self._connection.write(head)
        elif self._coding is _CHUNKED:
            self._connection.write(b"0\r\n\r\n")
        if self._coding is _LENGTH and self._left:
            self._cut_short()

    def _log_excess(self) -> None:
        _log.error("%s: the body is longer than its Content-Length; cut", self._request)

    def _cut_short(self) -> None:
        _log.error("%s: the body is shorter than its Content-Length", self._request)
        self.give_up()

    def give_up(self) -> None:
        """End before the body is complete; the client notices, because the connection ends too."""
        self.cut = True
        self.keep_alive = False

    def _begin(self, length: int | None) -> bytes:
        """Settle how the body ends, ``length`` being its size where that is known; the head."""
        if self._lease is not None or self.upgrade is not None:
            self.claim()
        if self._started is None:
            raise ApplicationError("the application did not call start_response")
        status, headers = self._started
        head = self._heads.make(status, headers)
        request = self._request
        request.expects = False  # 100 Continue has no place after this
        if request.body is not None and not request.body.complete:
            self.keep_alive = False  # what the application does not read is in the way
        self._head = head
        self.status = head.status
        told = length if head.length is None else head.length
        if told is None or head.bodiless or request.method == "HEAD":
            ending = self._settle(head, length)
        else:
            self._coding = _LENGTH
            self._left = told
            if self.keep_alive and request.modern:
                return head.encode_kept(told, self._heads.clock)
            ending = b"Content-Length: %d\r\n" % told
        if not self.keep_alive:
            ending += b"Connection: close\r\n"
        elif not request.modern:
            ending += b"Connection: keep-alive\r\n"
        return head.encode(ending + b"\r\n", self._heads.clock)

    def _settle(self, head: ResponseHead, length: int | None) -> bytes:
        """Settle how a body ends that is not sent, or whose length nobody knows; the fields."""
        told = head.length
        without = self._request.method == "HEAD"
        if head.bodiless:
            if told is None or head.status != 304:
                return b""  # of these only 304 may tell it (RFC 9110, section 8.6)
        elif without and told is None and length:
            told = length
        if told is not None:
            return b"Content-Length: %d\r\n" % told
        if self._request.modern:
            if not without:
                self._coding = _CHUNKED
            return b"Transfer-Encoding: chunked\r\n"
        self.keep_alive = False
        if not without:
            self._coding = _Coding.CLOSE
        return b""

    def _send(self, before: bytes, data: bytes, after: bytes, in_memory: bool) -> None:
        connection = self._connection
        write = connection.write_rest if in_memory else connection.write
        if len(data) <= _JOIN_BOUND:
            write(before + data + after)
            return
        if before:
            write(before)
        write(data)
        if after:
            write(after)


def plain(
    status: str,
    text: str,
    *,
    body: bool,
    keep_alive: bool,
    clock: Clock,
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """A complete response of the server's own."""
    data = f"{text}\n".encode("latin-1", "replace")
    head = ResponseHead(status, [("Content-Type", "text/plain; charset=latin-1"), *headers])
    ending = b"Content-Length: %d\r\n" % len(data)
    if not keep_alive:
        ending += b"Connection: close\r\n"
    return head.encode(ending + b"\r\n", clock) + (data if body else b"")

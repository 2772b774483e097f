"""The response to one request: ``start_response``, ``write`` and the body (PEP 3333).

How it works
============

`Response` has the rules of PEP 3333 and the semantics of HTTP that all versions share (RFC 9110):
when the head may still change, how Content-Length limits the body, and which responses have no
body. It does not know how a head and a body look on the wire. That is the protocol's task: a
subclass such as `HTTP1Response` implements eight methods, the framing.

    method           sends
    _begin           nothing; returns the encoded head, which precedes the first part of the body
    _send_head       the head of a response without a body
    _send_whole      the head and all of the body, in one go: the usual response
    _send_part       a part of the body
    _send_end        the end of a body whose length was not announced
    _send_file       a part of a file as the whole body
    _send_spans      several parts of a file as the whole body
    _send_hints      an interim response

`Response` calls them in this order: `_send_whole` alone; or `_begin`, then `_send_part` any number
of times, then `_send_end`; or `_begin`, then `_send_file` or `_send_spans`. It never sends a part
of the body of a response to HEAD, or of a response whose status excludes a body, and never more
than the announced length. Subclassing costs the usual response no call: the framing is not an
object of its own.

All methods run on the thread that serves the request, except `hint`, `begin` and a call of the
response itself (``rocket.client_gone``), which the application may make from a thread of its own.
Two other parties may want to use the connection meanwhile, and `claim` settles which one does:

- The Monitor's thread, when the request exceeds ``request_timeout``. The lease of the request
  decides: the worker gives it up before it calls the application, and takes it again before the
  head is sent. If the Monitor's thread was faster, `claim` raises `ClientGone`.
- The application itself, when it takes the connection over, for a websocket. A response and the
  upgrade exclude each other: whichever begins first.

What the application has begun by an offer, such as an event stream, is a `Begun`. The head of the
response decides whether it goes on after the view has returned (`_admit`). If it does, the response
is asked for to its end as any other, and is sent without its end, or not at all.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from rocket_core import ClientGone
from rocket_core.extending import Hold, mypyc_attr
from rocket_wsgi._environ.request import Request
from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._offers.begun import Begun, Refused
from rocket_wsgi._response.file_wrapper import FileSpan, FileWrapper
from rocket_wsgi._response.response_head import ResponseHead, ResponseHeads, check_trailers
from rocket_wsgi._types import ExcInfo, Headers

if TYPE_CHECKING:
    from rocket_core import Connection, State
    from rocket_core.extending import UpgradedSocket

_log = logging.getLogger("rocket_wsgi")

JOIN_BOUND: Final = 64 * 1024
"""The size in bytes up to which copying a part behind its head costs less than a system call."""

SERVER_TIMING: Final = "Server-Timing"

PLAIN_TEXT: Final = ("Content-Type", "text/plain; charset=latin-1")

_HEAD_SIZE: Final = 2 * 1024
"""The size in bytes that the head of a response hardly exceeds."""

_UNLIMITED: Final = -1

_SERVER_ERROR: Final = 5
"""The first digit of the status that the Monitor's thread answers."""

WITHHELD: Final = -2
"""What `Response._begin` takes for the length of a body that is not sent, nor is its head."""

_beginning: Final = Lock()
"""Guards `Response.begun` of all responses while something is begun, which is seldom."""

_Request = TypeVar("_Request", bound=Request)
"""The requests of one protocol."""

_Head = TypeVar("_Head", bound=ResponseHead)
"""The heads of its responses."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Response(ABC, Generic[_Request, _Head]):
    """One response, whose methods are called by the application and by the worker.

    Applications find it as ``rocket.client_gone`` and, in a subclass, as the offers: objects of
    their own would cost every request, and few requests need them.

    Attributes:
        began: whether the head is sent, or on its way.
        status: the status code that was sent; 0 before the head is sent.
        sent: the number of bytes of the body sent so far, without their framing.
        cut: whether the response has ended before its body was complete.
        keep_alive: whether another request may follow on the connection.
        upgrade: the socket that the application may take over, or None.
        begun: what the application has begun by an offer, or None.
        own_fields: the header fields that the server adds unless the application sends them.
        error: for the access log, why the response is incomplete or not the application's; or None.
        over: whether the request has ended, so that nothing may use the connection for it.
    """

    __slots__ = (
        "_bodiless",
        "_connection",
        "_head",
        "_heads",
        "_lease",
        "_left",
        "_request",
        "_started",
        "_trailers",
        "began",
        "begun",
        "cut",
        "error",
        "keep_alive",
        "over",
        "own_fields",
        "sent",
        "status",
        "upgrade",
    )

    def __init__(
        self, connection: Connection, request: _Request, heads: ResponseHeads[_Head]
    ) -> None:
        """Respond to ``request`` on ``connection``. ``heads`` makes the heads of this thread."""
        self._connection = connection
        self._request = request
        self._heads = heads
        self._started: tuple[Any, Any] | None = None
        self._trailers: Headers | None = None
        self.began = False
        self._bodiless = False
        self._left = 0
        """The bytes that the body may still have; `_UNLIMITED` without a Content-Length."""
        self.status = 0
        self.sent = 0
        self.cut = False
        self.error: str | None = None
        self.own_fields: Headers | None = None
        self.over = False
        self.upgrade: UpgradedSocket | None = None
        self.begun: Begun | None = None
        self._lease = connection.lease
        self.keep_alive = request.keep_alive and not connection.server.draining

    def start(
        self, status: Any, headers: Any, exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """``start_response``: take the status and the header fields, and return ``write``.

        Raises `ApplicationError` for a second call without ``exc_info``, and the exception of
        ``exc_info`` if the head has been sent.
        """
        if exc_info is not None:
            try:
                if self.began and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # avoids a circular reference, as PEP 3333 asks
        elif self._started is not None:
            raise ApplicationError("start_response was called twice without exc_info")
        if self.own_fields:
            headers = _add_missing(headers, self.own_fields)
        self._started = status, headers
        return self.write

    def write(self, data: Any, /) -> None:
        """``write``: send a part of the body.

        Raises `ApplicationError` for more bytes than Content-Length announced.
        """
        if self._put(data):
            raise ApplicationError("write() was called with more than Content-Length says")

    def hint(self, headers: Any, /) -> None:
        """``wsgi.early_hints``: send a 103 response at once, unless the client speaks HTTP/1.0.

        Raises `ApplicationError` for invalid header fields, and after the response has begun.
        """
        if self.over or self.began or self.handed_over:
            raise ApplicationError("early hints must be sent before the response")
        if self._lease is None:
            self._send_hints(headers)
            return
        with self._lease.use():
            self._send_hints(headers)

    def send_trailers(self, trailers: Any, /) -> None:
        """``rocket.send_trailers``: have fields follow the body (RFC 9110, section 6.5).

        To be called before the body is complete, at the latest when its last part was given.
        Several calls add up. Raises `ApplicationError` for fields that are invalid, or that have to
        be known before the body, and where no trailers can be sent: over HTTP/1.0, in a response
        that has no body, with Content-Length over HTTP/1.1, and where something goes on after the
        view.
        """
        if self.over:
            raise ApplicationError("trailers must be sent before the response is complete")
        fields = check_trailers(trailers)
        if self.began and not self._bodiless and not self._left:
            raise ApplicationError("trailers must be sent before the body is complete")
        fault = self._trailers_fault()
        if fault:
            raise ApplicationError(f"trailers cannot be sent {fault}")
        self._trailers = [*(self._trailers or []), *fields]

    def _trailers_fault(self) -> str:
        """Return why no trailers can be sent, as far as is known; empty if they can."""
        if self._request.method == "HEAD":
            return "in the response to HEAD, which has no body"
        if self.begun is not None:
            return "behind what goes on after the view"
        if self.began and self._bodiless:
            return f"with status {self.status}, whose responses have no body"
        return ""

    def __call__(self) -> bool:
        """``rocket.client_gone``: whether the client has closed its side of the connection."""
        if self.over:
            return True
        if self._lease is None:
            return self._connection.client_left()
        try:
            with self._lease.use():
                return self._connection.client_left()
        except ClientGone:
            return True

    # -- the offers ------------------------------------------------------------------------------

    def begin(self, begun: Begun) -> None:
        """Begin something that goes on after the view has returned.

        Raises `RuntimeError` if that has returned, or if another thing was begun.
        """
        with _beginning:
            if self.over:
                raise RuntimeError("an offer was used after the view had returned")
            if self.began:
                raise RuntimeError("an offer was used after the response had begun")
            if self.begun is not None or self.handed_over:
                raise RuntimeError("only one offer of a request can be used, and only once")
            self.begun = begun
        # A thread of the application's own may be here while the view returns. 1. This thread finds
        # that the request is not over. 2. The serving thread sets `over`, and finds nothing begun.
        # 3. This thread begins something, which nothing would ever end: so it looks once more.
        if self._missed(begun):
            raise RuntimeError("an offer was used after the view had returned")

    def _missed(self, begun: Begun) -> bool:
        return self.over and not begun.admitted

    @property
    def goes_on(self) -> bool:
        """Whether what was begun goes on, since the response is complete but for its end."""
        return (
            self.begun is not None and self.begun.admitted and self.error is None and not self.cut
        )

    # -- the right to use the connection ---------------------------------------------------------

    @property
    def handed_over(self) -> bool:
        """Whether the application has taken the connection over."""
        return self.upgrade is not None and self.upgrade.taken

    @property
    def overtaken(self) -> bool:
        """Whether the request took too long, so that the Monitor's thread has answered it."""
        return self._lease is not None and self._lease.hold is Hold.OVERTAKEN

    def claim(self) -> None:
        """Take the right to answer, for good.

        Raises `ClientGone` if the Monitor's thread has answered, or the application has taken the
        connection over.
        """
        if self._lease is not None:
            try:
                self._lease.claim()
            except ClientGone:
                if self.overtaken:  # the server has answered, and counted that
                    self._heads.sent[0] = _SERVER_ERROR
                raise
        if self.upgrade is not None and not self.upgrade.withdraw():
            raise ClientGone("the application has taken the connection over")

    # -- for the worker --------------------------------------------------------------------------

    def send(self, result: Any) -> None:
        """Send the result of the application. Raises what the iterator of ``result`` raises."""
        if type(result) is FileWrapper and self._send_wrapped(result):
            return
        kind = type(result)
        count = len(result) if kind is list or kind is tuple else _count_parts(result)
        if not 0 <= count <= 1 or self.began:
            self._send_parts(result)
            return
        # The usual response: its one part is the body, and the head was not sent before.
        data = b"".join(result)
        if self._trailers is not None:
            self._send_parts([data])
            return
        size = len(data)
        announced = self._commit(size)
        if self._bodiless:
            self._write_head(announced)
            return
        promised, self._left = self._left, 0
        if size > promised:
            if promised == _UNLIMITED:  # the application has begun something that goes on
                self._send_first(data)
                return
            self._log_excess()
            data = data[:promised]
        self.sent = len(data)
        self._send_whole(data, promised)
        if size < promised:
            self._cut_short()

    def before_close(self) -> None:
        """Note that the application closes the result of the request, which may take its time.

        A protocol that has not sent the response yet overrides this, and sends it.
        """

    def send_text(self, status: str, text: bytes, fields: Sequence[tuple[str, str]] = ()) -> None:
        """Send a text of the server's own, instead of the response that the application began.

        The head must not have been sent. Raises as `claim`.
        """
        self._started = None
        self._trailers = None
        if self.begun is not None:
            self.begun.replaced = True
        self.start(status, [PLAIN_TEXT, *fields])
        self.send([text])

    def send_span(self, span: FileSpan) -> None:
        """Send a part of a file as the whole body.

        Raises `OSError` if the process has no descriptor left.
        """
        before = self._begin(self._commit(span.size))
        if self._bodiless:
            self._send_head(before)
            return
        count = min(span.size, self._left)
        self._left -= count
        self.sent = count
        self._send_file(before, span.descriptor, span.offset, count)
        if self._left:
            self._cut_short()

    def send_spans(self, descriptor: int, spans: Sequence[tuple[bytes, int, int]]) -> None:
        """Send parts of a file as the whole body, without ever waiting for the client.

        Each part is a tuple: the bytes that precede it, its offset, and its length in bytes. The
        request must not be HEAD. Raises `OSError` if the process has no descriptor left.
        """
        self.sent = size = sum(len(before) + count for before, _, count in spans)
        before = self._begin(self._commit(size))
        self._left = 0
        self._send_spans(before, descriptor, spans)

    def prefers_bytes(self, size: int) -> bool:
        """Whether a body of ``size`` bytes costs less as bytes in memory than as part of a file.

        That is so up to the size at which it is copied behind its head, unless the worker would
        have to wait for the client.
        """
        return size <= JOIN_BOUND and self._connection.holds(size + _HEAD_SIZE)

    def give_up(self) -> None:
        """End the response before its body is complete, in such a way that the client notices."""
        self.cut = True
        self.keep_alive = False

    def hand_on(self) -> bool:
        """Leave the connection to what was begun; return whether it may serve requests after that.

        Called once, instead of `ending`.
        """
        keep_alive, self.keep_alive = self.keep_alive, False
        return keep_alive

    @abstractmethod
    def take_back(self) -> None:
        """End the offer of the connection to the application, or its use of the connection."""

    @abstractmethod
    def refuse(self, refused: Refused) -> None:
        """Send the answer of the server's own to a request that it refuses. Raises as `claim`."""

    @abstractmethod
    def ending(self) -> State:
        """Return the next state of a connection on which no further request may follow.

        Called once, when everything is sent.
        """

    # -- the framing, which is the protocol's ----------------------------------------------------

    @abstractmethod
    def _begin(self, length: int | None) -> bytes:
        """Choose the framing of the body, and return the encoded head.

        ``length`` is the length of the body to announce, in bytes; None if it is not known, or not
        to be announced; `WITHHELD` if nothing is sent, so that nothing is returned either. If
        ``_bodiless`` is true, no body follows.
        """

    @abstractmethod
    def _send_head(self, before: bytes) -> None:
        """Send the head ``before`` of a response, without a body or before it."""

    @abstractmethod
    def _send_whole(self, data: bytes, length: int) -> None:
        """Send the head and the whole body. ``length`` is announced, and at least ``len(data)``."""

    @abstractmethod
    def _send_part(self, before: bytes, data: bytes, in_memory: bool) -> None:
        """Send a part of the body behind ``before``, which is the head or empty.

        ``in_memory`` tells that the rest of the body is in memory already.
        """

    @abstractmethod
    def _send_end(self) -> None:
        """Send the end of a body, all of whose parts have been sent."""

    @abstractmethod
    def _send_file(self, before: bytes, descriptor: int, offset: int, count: int) -> None:
        """Send ``count`` bytes of a file behind the head ``before``. Raises `OSError`."""

    @abstractmethod
    def _send_spans(
        self, before: bytes, descriptor: int, spans: Sequence[tuple[bytes, int, int]]
    ) -> None:
        """Send parts of a file, as `send_spans` gets them, behind ``before``. Raises `OSError`."""

    @abstractmethod
    def _send_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        """Send a 103 response (RFC 8297). Raises `ApplicationError` for invalid ``headers``."""

    # -- the rest --------------------------------------------------------------------------------

    def _commit(self, length: int | None) -> int | None:
        """Make the head of what the application started; from now on it cannot change.

        ``length`` is the length of the body in bytes, or None if it is not known. Returns the
        length to announce. Raises `ApplicationError`, and `ClientGone` as `claim`.
        """
        if self._lease is not None or self.upgrade is not None:
            self.claim()
        if self._started is None:
            raise ApplicationError("the application did not call start_response")
        status, headers = self._started
        heads = self._heads
        head = heads.make(status, headers)
        request = self._request
        request.expects = False  # it is too late for 100 Continue
        if request.body is not None and not request.body.complete:
            self.keep_alive = False  # the unread rest of the body would precede the next request
        self._head = head
        if self._trailers is not None:
            self._admit_trailers(head)
        if self.begun is not None and self._admit(self.begun, head):
            return WITHHELD if self._bodiless else None
        self.began = True
        self.status = head.status
        digit = head.digit  # as `ResponseHeads.count`, without the cost of a call
        sent = heads.sent
        sent[digit] += 1
        sent[0] = digit
        if head.bodiless or request.method == "HEAD":
            self._bodiless = True
            return _announced_length(head, length)
        if head.length is not None:
            length = head.length
        self._left = _UNLIMITED if length is None else length
        return length

    def _admit_trailers(self, head: _Head) -> None:
        """Raise `ApplicationError` if the trailers that were given cannot be sent with ``head``."""
        fault = self._trailers_fault()
        if not fault and head.bodiless:
            fault = f"with status {head.status}, whose responses have no body"
        if not fault:
            fault = self._length_fault(head)
        if fault:
            self._trailers = None  # another response may follow
            raise ApplicationError(f"trailers cannot be sent {fault}")

    def _length_fault(self, head: _Head) -> str:
        """Return why no trailers can be sent with the length in ``head``; empty if they can."""
        del head
        return ""

    def _admit(self, begun: Begun, head: _Head) -> bool:
        """Ask whether what was begun goes on after the view has returned.

        Then the response is sent without its end, or withheld. Raises `ApplicationError`, and
        `Refused` where something else is to be sent.
        """
        self._bodiless = begun.admitted = False  # a response that was withheld may be replaced
        if self._started is not None and not begun.replaced:
            begun.admitted = begun.admit(self._request, head.status, self._started[1])
        if not begun.admitted:
            return False
        self.status = head.status
        self._left = 0 if begun.withholds else _UNLIMITED
        self._bodiless = begun.withholds
        self.began = not begun.withholds
        if self.began:
            self._heads.count(head.digit)
        return True

    def _write_head(self, announced: int | None) -> None:
        """Send the head alone, unless it is withheld."""
        before = self._begin(announced)
        if before:
            self._send_head(before)

    def _send_first(self, data: bytes) -> None:
        """Send the head, and a body to which something else is added afterwards."""
        self._left = _UNLIMITED
        if data:
            self.sent = len(data)
            self._send_part(self._begin(None), data, True)
        else:
            self._write_head(None)

    def _send_parts(self, result: Iterable[Any]) -> None:
        in_memory = type(result) is list or type(result) is tuple
        for part in result:
            if self._left == _UNLIMITED and type(part) is bytes and part:
                # The usual part, behind another one: `_put` would do the same.
                self.sent += len(part)
                self._send_part(b"", part, in_memory)
                continue
            if self._put(part, in_memory):
                self._log_excess()
            if self.began and (self._bodiless or not self._left):
                break  # nothing more may be sent, and PEP 3333 asks to stop iterating
        if not self.began:
            self._write_head(self._commit(0 if self._trailers is None else None))
            if self._trailers is not None:
                self._send_end()
        elif not self._bodiless and not self.goes_on:
            self._send_end()
        if self._left > 0:
            self._cut_short()

    def _put(self, data: Any, in_memory: bool = False) -> bool:
        """Send a part of the body, after the head if it was not sent.

        ``in_memory`` tells that the rest of the body is in memory already. Returns whether the part
        exceeded the announced length; the excess is not sent.
        """
        if not isinstance(data, bytes):
            raise ApplicationError(f"a part of the body is {type(data).__name__}, not bytes")
        if not data:
            return False
        before = b"" if self.began else self._begin(self._commit(None))
        if self._bodiless:
            if before:
                self._send_head(before)
            return False
        excess = False
        left = self._left
        if left != _UNLIMITED:
            excess = len(data) > left
            data = data[:left]
            self._left = left = left - len(data)
            in_memory = in_memory or not left
        self.sent += len(data)
        self._send_part(before, data, in_memory)
        return excess

    def _send_wrapped(self, wrapper: FileWrapper) -> bool:
        """Send a wrapped file by `send_span`, if that is possible; whether it was."""
        span = wrapper.span()
        if span is None or self.began or self.begun is not None or self._trailers is not None:
            return False
        self.send_span(span)
        return True

    def _log_excess(self) -> None:
        _log.error("%s: the body is longer than its Content-Length: cut off", self._request)

    def _cut_short(self) -> None:
        _log.error("%s: the body is shorter than its Content-Length", self._request)
        self.give_up()


AnyResponse: TypeAlias = Response[Any, Any]
"""A response of any protocol."""


def _count_parts(result: Any) -> int:
    """Return the number of parts of the body, or -1 if it is not known.

    A generator, which has no length, is found out without an exception, as that costs as much as
    several parts.
    """
    if not hasattr(result, "__len__"):
        return -1
    try:
        return len(result)
    except TypeError:
        return -1


def _announced_length(head: ResponseHead, length: int | None) -> int | None:
    """Return the length to announce in a response that has no body (RFC 9110, section 8.6)."""
    if head.bodiless:
        return head.length if head.status == 304 else None
    return head.length if head.length is not None else length or None


def _add_missing(headers: Any, own_fields: Headers) -> Headers:
    """Return ``headers`` and those of ``own_fields`` whose names they lack.

    ``Server-Timing``, whose values are a list, is added in any case.
    """
    names = {str(name).lower() for name, _ in headers}
    names.discard(SERVER_TIMING.lower())
    return [*headers, *(field for field in own_fields if field[0].lower() not in names)]

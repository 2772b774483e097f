"""Response heads as the application gives them: checked, and remembered when they repeat."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from rocket_core.extending import mypyc_attr
from rocket_wsgi._clock import SERVER, Clock
from rocket_wsgi._environ.trailers import UNFIT
from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._grammar import WHOLE_TOKEN
from rocket_wsgi._repeat_cache import RepeatCache
from rocket_wsgi._types import Headers

_STATUS: Final = re.compile(r"[1-9][0-9]{2} [\t\x20-\x7e\x80-\xff]*\Z")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_MAX_REMEMBERED: Final = 2 * 1024
"""The maximum size of a remembered head, in bytes."""


# The kinds of header fields that mean something to the server.
_PLAIN: Final = 0
_CONTENT_LENGTH: Final = 1
DATE: Final = 2
SERVER_FIELD: Final = 4
DATE_AND_SERVER: Final = DATE | SERVER_FIELD

_KINDS: Final = {"content-length": _CONTENT_LENGTH, "date": DATE, "server": SERVER_FIELD}

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class _FieldKinds(RepeatCache[Any, int]):
    """The kinds of valid field names. A look-up of any other name raises `ApplicationError`."""

    __slots__ = ()

    def __missing__(self, name: Any) -> int:
        if type(name) is not str:
            raise ApplicationError(f"header name {name!r} is not a str")
        if not WHOLE_TOKEN.match(name):
            raise ApplicationError(f"header name {name!r} is not a token")
        lower = name.lower()
        if lower in _HOP_BY_HOP:
            raise ApplicationError(
                f"header {name!r} is hop-by-hop, and only the server may send it (PEP 3333); "
                "leave it out"
            )
        kind = _KINDS.get(lower, _PLAIN)
        self.offer(name, kind)
        return kind


class _StatusCodes(RepeatCache[Any, int]):
    """The codes of valid status strings. A look-up of any other raises `ApplicationError`."""

    __slots__ = ()

    def __missing__(self, status: Any) -> int:
        if type(status) is not str:
            raise ApplicationError(f"status {status!r} is not a str")
        if not _STATUS.match(status):
            raise ApplicationError(f"status {status!r} is not a code and a reason, as in '200 OK'")
        if status[0] == "1":  # another response would have to follow (RFC 9110, section 15.2)
            raise ApplicationError(
                f"status {status!r} does not end a request; use wsgi.early_hints for 103, and "
                "rocket.socket to switch protocols"
            )
        code = int(status[:3])
        self.offer(status, code)
        return code


_kinds: Final = _FieldKinds()
_codes: Final = _StatusCodes()


@mypyc_attr(allow_interpreted_subclasses=True)
class ResponseHead:
    """The status and the header fields of a response, checked (PEP 3333).

    A protocol's subclass encodes them.

    Attributes:
        status: the status code.
        digit: its first digit.
        length: the value of the application's Content-Length, or None.
        bodiless: whether the status code excludes a body (RFC 9110, section 6.4.1).
        lacks: those of `DATE` and `SERVER_FIELD` that the application does not send, so that the
            server adds them.
        size: the size of the encoded head in bytes; set by the subclass.
    """

    __slots__ = ("bodiless", "digit", "lacks", "length", "size", "status")

    size: int

    def __init__(self, status: Any, headers: Any) -> None:
        """Check the arguments of ``start_response``. Raises `ApplicationError`."""
        self.status = code = _codes[status]
        self.digit = code // 100
        self.bodiless = code in (204, 304)
        self.length: int | None = None
        lacks = DATE_AND_SERVER
        for name, value in headers:
            kind = _kinds[name]
            if type(value) is not str:
                raise ApplicationError(f"the value of header {name!r} is not a str")
            if not value.isprintable():
                _check_value(name, value)
            if kind:
                if kind == _CONTENT_LENGTH:
                    self._take_length(value)
                else:
                    lacks &= ~kind
        self.lacks = lacks

    def _take_length(self, value: str) -> None:
        length = _read_length(value)
        if self.length is not None:
            raise ApplicationError("Content-Length is given twice")
        self.length = length


_Head_co = TypeVar("_Head_co", bound=ResponseHead, covariant=True)
"""The heads of one protocol."""


class ResponseHeads(Generic[_Head_co]):
    """Makes the response heads of one thread, and remembers those that repeat.

    Attributes:
        clock: the clock of the thread, for the fields ``Date`` and ``Server``.
        sent: the number of responses that the thread has sent, by the first digit of the status;
            at index 0 that of the latest one: see `rocket_core.ResponseCounts`.
    """

    def __init__(
        self,
        make_head: Callable[[str, Headers], _Head_co],
        server: str = SERVER,
        sent: list[int] | None = None,
    ) -> None:
        """Make heads by ``make_head``, the class of a protocol, for a `Clock` of ``server``.

        ``sent`` is that of `rocket_core.ResponseCounts`; None: it is for these heads alone.
        """
        self.sent: Final = [0] * 10 if sent is None else sent
        self.clock: Final = Clock(server)
        self._make_head = make_head
        self._remembered: RepeatCache[tuple[Any, ...], _Head_co] = RepeatCache()
        # The latest head, and the arguments of which it was made.
        self._latest: _Head_co | None = None
        self._length: int | None = None
        self._status = ""
        self._headers: Headers = []

    def count(self, digit: int) -> None:
        """Count a response that is sent, by the first digit of its status."""
        self.sent[digit] += 1
        self.sent[0] = digit

    def make(self, status: Any, headers: Any) -> _Head_co:
        """Return the head for the arguments of ``start_response``. Raises `ApplicationError`.

        Responses that differ in their Content-Length share a head, whose `ResponseHead.length` is
        valid until the next call.
        """
        head = self._latest
        if head is None or headers != self._headers or status != self._status:
            return self._make(status, headers)
        for _, value in headers:
            if type(value) is not str:  # an instance of a subclass equals the str
                return self._make_head(status, headers)
        head.length = self._length
        return head

    def _make(self, status: Any, headers: Any) -> _Head_co:
        """Return the head for other arguments than those of the latest call. As `make`."""
        key: list[Any] = [status]
        length: str | None = None
        for field in headers:
            name, value = field
            if type(field) is not tuple or type(value) is not str:  # a list could change later
                return self._make_head(status, headers)
            if name == "Content-Length" and length is None:
                length = value
                key.append(name)
            else:
                key.append(field)
        known = tuple(key)
        try:
            head = self._remembered.get(known)
        except TypeError:  # a field that is not a tuple has no hash
            return self._make_head(status, headers)
        if head is None:
            head = self._make_head(status, headers)
            if head.size > _MAX_REMEMBERED:
                return head
            self._remembered.offer(known, head)
        elif length is not None:
            head.length = _read_length(length)
        self._latest = head
        self._length = head.length
        self._status = status
        self._headers = list(headers)
        return head


def _read_length(value: str) -> int:
    """Return the number of bytes that a Content-Length announces."""
    if not (value.isascii() and value.isdigit()):
        raise ApplicationError(f"Content-Length {value!r} is not a number")
    return int(value)


def field_line(name: Any, value: Any) -> str:
    """Return the line of a header field of the application, checked like those of a head.

    Raises `ApplicationError`.
    """
    _kinds[name]  # raises for an invalid name
    if type(value) is not str:
        raise ApplicationError(f"the value of header {name!r} is not a str")
    _check_value(name, value)
    return f"{name}: {value}\r\n"


def check_hints(headers: Any) -> list[tuple[str, str]]:
    """Return the fields of a 103 response, given as pairs of strings.

    Raises `ApplicationError` for a field that is invalid in the head of a response, and for
    Content-Length, which an interim response must not have (RFC 9110, section 8.6).
    """
    fields = []
    for name, value in headers:
        field_line(name, value)
        if name.lower() == "content-length":
            raise ApplicationError("Content-Length has no place in early hints")
        fields.append((name, value))
    return fields


def check_trailers(trailers: Any) -> Headers:
    """Return the fields that follow a body, given as pairs of strings.

    Raises `ApplicationError` for a field that is invalid in the head of a response, and for one
    that has to be known before the body (RFC 9110, section 6.5.1).
    """
    fields = []
    for name, value in trailers:
        try:
            field_line(name, value).encode("latin-1")
        except UnicodeEncodeError as error:
            raise ApplicationError(f"the trailer {name!r} is not latin-1") from error
        if name.lower() in UNFIT:
            raise ApplicationError(
                f"{name} cannot be a trailer, since it has to be known before the body; send it as "
                "a header field"
            )
        fields.append((name, value))
    return fields


def _check_value(name: Any, value: Any) -> None:
    """Refuse a value that could end its line (RFC 9110, section 5.5)."""
    if _CONTROL.search(value):
        raise ApplicationError(f"the value of header {name!r} contains a control character")

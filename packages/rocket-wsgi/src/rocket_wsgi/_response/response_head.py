"""Response heads: checked, and put together in few operations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from rocket_wsgi._clock import SERVER_LINE, Clock
from rocket_wsgi._repeat_cache import RepeatCache

Headers = list[tuple[str, str]]

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_STATUS: Final = re.compile(r"[1-9][0-9]{2} [\t\x20-\x7e\x80-\xff]*\Z")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_MEMORABLE: Final = 2 * 1024
"""Bytes of a head that is remembered, at most."""


# What a header field of the application means to the server.
_PLAIN: Final = 0
_CONTENT_LENGTH: Final = 1
_DATE: Final = 2
_SERVER: Final = 4
_BOTH: Final = _DATE | _SERVER

_KINDS: Final = {"content-length": _CONTENT_LENGTH, "date": _DATE, "server": _SERVER}

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


class ApplicationError(Exception):
    """The application broke a rule of PEP 3333."""


class _Names(RepeatCache[Any, int]):
    """Field names found to be valid, with their kind."""

    __slots__ = ()

    def __missing__(self, name: Any) -> int:
        if type(name) is not str:
            raise ApplicationError(f"header name {name!r} is not a str")
        if not TOKEN.match(name):
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


class _StatusLines(RepeatCache[Any, tuple[int, str]]):
    """Code and status line of each status string."""

    __slots__ = ()

    def __missing__(self, status: Any) -> tuple[int, str]:
        if type(status) is not str:
            raise ApplicationError(f"status {status!r} is not a str")
        if not _STATUS.match(status):
            raise ApplicationError(f"status {status!r} is not a code and a reason, as in '200 OK'")
        if status[0] == "1":  # RFC 9110, section 15.2: another response would have to follow
            raise ApplicationError(
                f"status {status!r} ends no request; use wsgi.early_hints for 103, and "
                "rocket.socket to switch protocols"
            )
        found = int(status[:3]), f"HTTP/1.1 {status}\r\n"
        self.offer(status, found)
        return found


_names: Final = _Names()
_status_lines: Final = _StatusLines()


class ResponseHead:
    """Status and header fields of a response, checked. Belongs to one thread.

    Attributes:
        status: the status code.
        length: the application's Content-Length, or None.
        bodiless: whether the status says that there is no body (RFC 9112, section 6.3).
        start: the status line and the application's fields, without Content-Length.
    """

    __slots__ = (
        "_kept",
        "_kept_fields",
        "_kept_length",
        "_own",
        "bodiless",
        "length",
        "start",
        "status",
    )

    def __init__(self, status: str, headers: Headers) -> None:
        """Take what the application gave. Raises `ApplicationError`."""
        self.status, line = _status_lines[status]
        self.bodiless = self.status in (204, 304)
        self.length: int | None = None
        parts = [line]
        own = _BOTH
        for name, value in headers:
            kind = _names[name]
            if type(value) is not str:
                raise ApplicationError(f"the value of header {name!r} is not a str")
            if not value.isprintable():
                _check_value(name, value)
            if kind == _CONTENT_LENGTH:
                self._take_length(value)  # whether it is sent is not for the application to say
                continue
            own &= ~kind
            parts.append(f"{name}: {value}\r\n")
        self._own = own
        try:
            self.start = "".join(parts).encode("latin-1")
        except UnicodeEncodeError as error:
            raise ApplicationError(f"a header is not latin-1: {error.object!r}") from error
        self._kept = self._kept_fields = b""
        self._kept_length = 0

    def _take_length(self, value: str) -> None:
        if not (value.isascii() and value.isdigit()):
            raise ApplicationError(f"Content-Length {value!r} is not a number")
        if self.length is not None:
            raise ApplicationError("Content-Length is given twice")
        self.length = int(value)

    def encode(self, ending: bytes, clock: Clock) -> bytes:
        """The bytes of the head, with ``ending``, whole lines, as its last fields."""
        clock.update()
        own = self._own
        if own == _BOTH:
            return self.start + clock.fields + ending
        if own & _DATE:
            return self.start + clock.date + ending
        if own & _SERVER:
            return self.start + SERVER_LINE + ending
        return self.start + ending

    def encode_kept(self, length: int, clock: Clock) -> bytes:
        """The bytes of the head before ``length`` bytes of body, in HTTP/1.1, if more may follow.

        Most heads are like that, and come again within the second, before as many bytes.
        """
        clock.update()
        if length != self._kept_length or clock.fields is not self._kept_fields:
            self._kept = self.encode(b"Content-Length: %d\r\n\r\n" % length, clock)
            self._kept_length = length
            self._kept_fields = clock.fields
        return self._kept


class ResponseHeads:
    """Makes the heads of the responses of one thread, and remembers those that come again."""

    def __init__(self) -> None:
        self.clock: Final = Clock()
        self._memory: RepeatCache[tuple[Sequence[str], ...], ResponseHead] = RepeatCache()

    def make(self, status: str, headers: Headers) -> ResponseHead:
        """A head of what the application gave. Raises `ApplicationError`."""
        key = (status, *headers)
        try:
            head = self._memory.get(key)
        except TypeError:  # a field that is no tuple has no hash
            return ResponseHead(status, headers)
        if head is None:
            head = ResponseHead(status, headers)
            if len(head.start) <= _MEMORABLE:
                self._memory.offer(key, head)
            return head
        for name, value in headers:
            if type(value) is not str:  # but equal to one
                raise ApplicationError(f"the value of header {name!r} is not a str")
        return head


def field_line(name: str, value: str) -> str:
    """One header field of the application, checked as those of its response are.

    Raises `ApplicationError`.
    """
    _names[name]  # raises for what is no name
    if type(value) is not str:
        raise ApplicationError(f"the value of header {name!r} is not a str")
    _check_value(name, value)
    return f"{name}: {value}\r\n"


def _check_value(name: str, value: str) -> None:
    """Refuse what would break out of its line (RFC 9110, section 5.5)."""
    if _CONTROL.search(value):
        raise ApplicationError(f"the value of header {name!r} contains a control character")

"""Response heads: checked, and put together in few operations."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, Final

from rocket_wsgi._version import __version__

SERVER: Final = f"Rocket/{__version__}"

Headers = list[tuple[str, str]]

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_STATUS: Final = re.compile(r"[1-9][0-9]{2} [\t\x20-\x7e\x80-\xff]*\Z")
_ALLOWED: Final = bytes([9, 10, 13, *range(32, 127), *range(128, 256)])
_REMEMBERED: Final = 512


class HeaderKind(IntEnum):
    """What a header field of the application means to the server; 0 means nothing."""

    PLAIN = 0
    CONTENT_LENGTH = 1
    DATE = 2
    SERVER = 3


_KINDS: Final = {
    "content-length": HeaderKind.CONTENT_LENGTH,
    "date": HeaderKind.DATE,
    "server": HeaderKind.SERVER,
}

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


class _Names(dict[Any, HeaderKind]):
    """Field names found to be valid, with their kind; a bounded number is remembered."""

    def __missing__(self, name: Any) -> HeaderKind:
        if type(name) is not str:
            raise ApplicationError(f"header name {name!r} is not a str")
        if not _TOKEN.match(name):
            raise ApplicationError(f"header name {name!r} is not a token")
        lower = name.lower()
        if lower in _HOP_BY_HOP:
            raise ApplicationError(f"{name!r} is a hop-by-hop header, which belongs to the server")
        kind = _KINDS.get(lower, HeaderKind.PLAIN)
        if len(self) < _REMEMBERED:
            self[name] = kind
        return kind


class _StatusLines(dict[Any, tuple[int, str]]):
    """Code and status line of each status string; a bounded number is remembered."""

    def __missing__(self, status: Any) -> tuple[int, str]:
        if type(status) is not str:
            raise ApplicationError(f"status {status!r} is not a str")
        if not _STATUS.match(status):
            raise ApplicationError(f"status {status!r} is not a code and a reason, as in '200 OK'")
        found = int(status[:3]), f"HTTP/1.1 {status}\r\n"
        if len(self) < _REMEMBERED:
            self[status] = found
        return found


_names: Final = _Names()
_status_lines: Final = _StatusLines()


class Head:
    """Status and header fields of a response, checked.

    Attributes:
        status: the status code.
        length: the application's Content-Length, or None.
    """

    __slots__ = ("_count", "_parts", "length", "status")

    def __init__(self, status: str, headers: Headers, date: str) -> None:
        """Take what the application gave. Raises `ApplicationError`."""
        self.status, line = _status_lines[status]
        self.length: int | None = None
        parts = [line]
        dated = named = False
        for name, value in headers:
            if type(value) is not str:
                raise ApplicationError(f"the value of header {name!r} is not a str")
            kind = _names[name]
            parts.append(f"{name}: {value}\r\n")
            if kind:
                if kind is HeaderKind.CONTENT_LENGTH:
                    self._take_length(value)
                elif kind is HeaderKind.DATE:
                    dated = True
                else:
                    named = True
        if not dated:
            parts.append(f"Date: {date}\r\n")
        if not named:
            parts.append(f"Server: {SERVER}\r\n")
        self._parts = parts

    def _take_length(self, value: str) -> None:
        if not (value.isascii() and value.isdigit()):
            raise ApplicationError(f"Content-Length {value!r} is not a number")
        if self.length is not None:
            raise ApplicationError("Content-Length is given twice")
        self.length = int(value)

    def encode(self, ending: str) -> bytes:
        """The bytes of the head, with ``ending``, whole lines, as its last fields.

        Raises `ApplicationError` when a value would break out of its line.
        """
        self._parts.append(ending)
        text = "".join(self._parts)
        lines = len(self._parts) - 1 + ending.count("\n")
        try:
            data = text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise ApplicationError(f"a header is not latin-1: {error.object!r}") from error
        if data.count(b"\n") != lines or data.count(b"\r") != lines:
            raise ApplicationError("a header value contains a line break")
        if data.translate(None, _ALLOWED):
            raise ApplicationError("a header value contains a control character")
        return data

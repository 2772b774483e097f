"""A strict parser for the heads of HTTP/1 requests (RFC 9112, sections 2 to 5).

The whole head is checked at C speed before it is split: it must contain allowed bytes only, and
every CR and LF must belong to the end of a line. Then the rules of each line are applied.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from rocket_core._errors import RocketError
from rocket_core._native_classes import mypyc_attr

__all__ = [
    "MAX_FIELD",
    "MAX_FIELDS",
    "MAX_HEAD",
    "MAX_REQUEST_LINE",
    "FieldNames",
    "HeadError",
    "RequestLine",
    "check_arriving",
    "check_head",
    "read_fields",
    "read_request_line",
    "split_head",
    "split_request_line",
]

MAX_REQUEST_LINE: Final = 8 * 1024
"""The most bytes of a request line, without its CR LF."""

MAX_FIELD: Final = 16 * 1024
"""The most bytes of a field line, without its CR LF."""

MAX_HEAD: Final = 64 * 1024
"""The most bytes of a head, without its final empty line."""

MAX_FIELDS: Final = 100
"""The most field lines of a head."""

_ALLOWED: Final = frozenset([9, 10, 13, *range(32, 127), *range(128, 256)])
"""The bytes that a head may contain."""

_CLEAN: Final = bytes(byte if byte in _ALLOWED else ord("\n") for byte in range(256))
"""Translates the bytes that a head may contain into themselves, and all others into another one.
That takes less than half of the time that deleting bytes takes."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
"""The usual methods, which are tokens without a closer look."""

_VERSION: Final = re.compile(r"HTTP/([0-9])\.([0-9])\Z")
_EMPTY_LINE: Final = b"\r\n\r\n"
_STRAY: Final = re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]|(?<!\r)\n|\r(?!\n|\Z)")
_CACHED_NAMES: Final = 512
_CACHED_LENGTH: Final = 64


class HeadError(RocketError, ValueError):
    """The head of a request breaks the rules of RFC 9112, or exceeds a limit.

    Attributes:
        status: the status code of the response, 400 to 599.
        reason: a sentence for the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class RequestLine(NamedTuple):
    """Method, target and version of a request (RFC 9112, section 3)."""

    method: str
    target: str
    version: str


@mypyc_attr(allow_interpreted_subclasses=True)
class FieldNames(dict[str, str]):
    """A cache of field names: it maps a name as clients spell it to the key of its value.

    A name that is not in it is validated, and added. The number of names is bounded, so that
    clients cannot fill the memory. Threads may share it. A subclass overrides `key`.
    """

    def __missing__(self, name: str) -> str:
        if not _TOKEN.match(name):
            raise HeadError(400, "a header field name is not a token")
        key = self.key(name)
        if len(name) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_NAMES:
                self.clear()  # invented names must not keep the usual ones out
            self[name] = key
        return key

    def key(self, name: str) -> str:
        """The key for a valid ``name``: its form in lower case."""
        return name.lower()


_LOWER: Final = FieldNames()


def split_head(head: bytes) -> tuple[RequestLine, list[str]]:
    """Split a head, without its final empty line, into the request line and the field lines.

    Raises `HeadError` with status 400, 414, 431, 501 or 505.
    """
    lines = head.decode("latin-1").split("\r\n")
    check_head(head, lines)
    return read_request_line(lines.pop(0)), lines


def check_head(head: bytes, lines: list[str]) -> None:
    """Check the limits and the bytes of a head, without its final empty line.

    ``lines`` are the head, decoded from latin-1 and split at each CR LF. The rules of each line are
    left to be applied. Raises `HeadError` with status 400, 414, 431 or 501.
    """
    if not _seems_sound(head, lines):
        _find_fault(head + _EMPTY_LINE)


def read_request_line(text: str) -> RequestLine:
    """Parse a request line, without its CR LF. Raises as `split_request_line`."""
    # The constructor of the class is a Python function, and takes twice as long.
    return tuple.__new__(RequestLine, split_request_line(text))


def split_request_line(text: str) -> tuple[str, str, str]:
    """Return method, target and version of a request line, without its CR LF.

    See RFC 9112, section 3. Raises `HeadError` with status 400, 414, 501 or 505.
    """
    if len(text) > MAX_REQUEST_LINE:
        raise HeadError(*_too_long(" " in text[:MAX_REQUEST_LINE]))
    parts = text.split(" ")
    if len(parts) != 3:
        raise HeadError(400, "the request line is not method, target and version")
    method, target, version = parts
    if version != "HTTP/1.1":
        _check_version(method, version)
    if method != "GET" and method not in _METHODS and not _TOKEN.match(method):
        raise HeadError(400, "the method is not a token")
    if not target or not target.isascii() or not target.isprintable():
        raise HeadError(400, "the request target contains a character that is not allowed")
    return method, target, version


def check_arriving(part: bytes) -> None:
    """Check the beginning of a head, which no continuation could make valid if this raises.

    Only limits and bytes that are not allowed are checked. The error is the one that `split_head`
    would raise, so that it does not depend on the pieces in which a head arrives. Raises
    `HeadError` with status 400, 414, 431 or 501.
    """
    part = part.removeprefix(b"\r\n")
    whole = part.removesuffix(b"\r")  # a line feed may follow
    if not _seems_sound(whole, whole.split(b"\r\n")):
        _find_fault(part)


def _seems_sound(head: bytes, lines: list[str] | list[bytes]) -> bool:
    """Whether a head, or its beginning, keeps all limits and contains allowed bytes only.

    It was split into ``lines`` at each CR LF, so another CR or LF makes their number differ.
    """
    ends = len(lines) - 1
    return (
        head.translate(_CLEAN) == head
        and head.count(b"\r") == ends
        and head.count(b"\n") == ends
        and len(lines[0]) <= MAX_REQUEST_LINE
        and len(lines) <= MAX_FIELDS + 1
        and (
            len(head) <= MAX_FIELD or (len(head) <= MAX_HEAD and max(map(len, lines)) <= MAX_FIELD)
        )
    )


def _find_fault(data: bytes) -> None:
    """Raise the error that the shortest beginning of ``data`` shows, if there is one."""
    faults: list[tuple[int, int, str]] = []
    stray = _STRAY.search(data)
    if stray is not None:
        if stray[0] in b"\r\n":
            reason = "a line of the request head does not end in CR LF"
        else:
            reason = "the request head contains a control character"
        faults.append((stray.start() + (2 if stray[0] == b"\r" else 1), 400, reason))
    if len(data) > MAX_HEAD + len(_EMPTY_LINE):
        faults.append((MAX_HEAD + len(_EMPTY_LINE) + 1, 431, "the request head is too long"))
    start = number = 0
    while start < len(data):
        limit, status, reason = _limit(number)
        end = data.find(b"\r\n", start, start + limit + 2)
        if end < 0:
            if not number:
                status, reason = _too_long(b" " in data[:MAX_REQUEST_LINE])
            faults.append((start + limit + 2, status, reason))
            break
        start = end + 2
        number += 1
    if faults:
        needed, status, reason = min(faults)
        if needed <= len(data):
            raise HeadError(status, reason)


def _too_long(with_method: bool) -> tuple[int, str]:
    """The status and reason for a request line that is too long (RFC 9112, section 3).

    ``with_method``: whether the method ends within the limit.
    """
    if with_method:
        return 414, "the request line is too long"
    return 501, "the method is too long"


def _limit(number: int) -> tuple[int, int, str]:
    """The most bytes of line ``number`` of a head, and the status and reason for a longer one."""
    if number == 0:
        return MAX_REQUEST_LINE, *_too_long(True)
    if number <= MAX_FIELDS:
        return MAX_FIELD, 431, "a header field is too long"
    return 0, 431, "the request has too many header fields"


def _check_version(method: str, version: str) -> None:
    match = _VERSION.match(version)
    if match is None:
        raise HeadError(400, "the protocol version is malformed")
    if match[1] != "1":
        if method == "PRI":  # RFC 9113, 3.4
            raise HeadError(505, "the client speaks HTTP/2, and this server HTTP/1.1")
        raise HeadError(505, "this server speaks HTTP/1.0 and HTTP/1.1")


def read_fields(lines: list[str], into: dict[str, Any], names: FieldNames = _LOWER) -> list[str]:
    """Add the value of each field line to the dictionary ``into``, under its key in ``names``.

    Values are stripped of surrounding white space. The values of a repeated field are joined with a
    comma (RFC 9110, section 5.3), those of ``Cookie`` with a semicolon (RFC 6265, section 5.4). A
    field whose key is empty is dropped. The dictionary may contain other things under other keys.

    The result lists the keys of repeated fields, so that the caller can refuse those that must
    occur once. Raises `HeadError` with status 400.
    """
    repeated: list[str] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise HeadError(400, "a header line has no colon")
        key = names[name]
        if key in into:
            repeated.append(key)
            joint = "; " if name.lower() == "cookie" else ", "
            into[key] += joint + value.strip(" \t")
        elif key:
            into[key] = value.strip(" \t")
    return repeated

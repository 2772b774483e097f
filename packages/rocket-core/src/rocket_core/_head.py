"""Request lines and header fields, read strictly (RFC 9112, sections 2 to 5).

The whole head is checked at C speed before it is split: bytes outside the allowed set must not
occur, and every CR and LF must belong to a line end. What remains are the rules of each line.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from rocket_core._errors import HeadError

MAX_REQUEST_LINE: Final = 8 * 1024
MAX_FIELD: Final = 16 * 1024
MAX_HEAD: Final = 64 * 1024
MAX_FIELDS: Final = 100

_ALLOWED: Final = bytes([9, 10, 13, *range(32, 127), *range(128, 256)])
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
"""The usual ones, which need no closer look."""

_VERSIONS: Final = frozenset({"HTTP/1.1", "HTTP/1.0"})
_VERSION: Final = re.compile(r"HTTP/([0-9])\.([0-9])\Z")
_CACHED_NAMES: Final = 512
_CACHED_LENGTH: Final = 64


class RequestLine(NamedTuple):
    """Method, target and version of a request (RFC 9112, section 3)."""

    method: str
    target: str
    version: str


class FieldNames(dict[str, str]):
    """Field names as clients spell them, each with its validated key; unknown ones are learnt.

    The number kept is bounded, so that clients cannot fill the memory with names.
    """

    def __missing__(self, name: str) -> str:
        if not _TOKEN.match(name):
            raise HeadError(400, "a header field name is not a token")
        key = self.key(name)
        if len(name) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_NAMES:
                self.clear()  # junk must not keep the usual names out
            self[name] = key
        return key

    def key(self, name: str) -> str:
        """The key for a valid ``name``: here, its lower-case form."""
        return name.lower()


_LOWER: Final = FieldNames()


def split_head(head: bytes) -> tuple[RequestLine, list[str]]:
    """Split a head without its final empty line into the request line and the field lines.

    Raises `HeadError` with status 400, 414, 431 or 505.
    """
    if head.translate(None, _ALLOWED):
        raise HeadError(400, "the request head contains a control character")
    lines = head.decode("latin-1").split("\r\n")
    ends = len(lines) - 1
    if head.count(b"\r") != ends or head.count(b"\n") != ends:
        raise HeadError(400, "a line of the request head does not end in CR LF")
    first = lines.pop(0)
    if len(first) > MAX_REQUEST_LINE:
        raise HeadError(414, "the request line is too long")
    if len(lines) > MAX_FIELDS:
        raise HeadError(431, "the request has too many header fields")
    parts = first.split(" ")
    if len(parts) != 3:
        raise HeadError(400, "the request line is not method, target and version")
    method, target, version = parts
    if version not in _VERSIONS:
        _refuse_version(version)
    if method not in _METHODS and not _TOKEN.match(method):
        raise HeadError(400, "the method is not a token")
    # Of the bytes that a head may contain, these are left once it is split at spaces.
    if not target or not target.isascii() or "\t" in target:
        raise HeadError(400, "the request target contains a character that is not allowed")
    return RequestLine(method, target, version), lines


def _refuse_version(version: str) -> None:
    match = _VERSION.match(version)
    if match is None:
        raise HeadError(400, "the protocol version is malformed")
    if match[1] != "1":
        raise HeadError(505, "this server speaks HTTP/1.0 and HTTP/1.1")


def read_fields(lines: list[str], into: dict[str, Any], names: FieldNames = _LOWER) -> list[str]:
    """Put each field of ``lines`` into the dictionary under the key ``names`` has for it.

    The dictionary may hold other things, under other keys. Values lose the white space around
    them. A repeated field is joined with a comma (RFC 9110, 5.3), ``Cookie`` with a semicolon
    (RFC 6265, 5.4). Returns the keys that were repeated, for the caller to refuse those that must
    not be. A key that is empty drops its field. Raises `HeadError` with status 400 or 431.
    """
    repeated: list[str] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise HeadError(400, "a header line has no colon")
        if len(line) > MAX_FIELD:
            raise HeadError(431, "a header field is too long")
        key = names[name]
        if key in into:
            repeated.append(key)
            joint = "; " if name.lower() == "cookie" else ", "
            into[key] += joint + value.strip(" \t")
        elif key:
            into[key] = value.strip(" \t")
    return repeated

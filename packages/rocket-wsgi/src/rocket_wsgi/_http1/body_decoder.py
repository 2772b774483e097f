"""Request bodies: where they end, and what is in them."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from rocket_core import Connection
from rocket_core.http1 import MAX_FIELD, MAX_FIELDS, MAX_HEAD, HeadError, read_fields

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVE_SIZE: Final = 96 * 1024
"""Bytes of a body asked of the system at once. With less, uploads take turns more often, each time
with memory that the processor no longer has at hand; more malloc(3) would map each time."""

_FEW_CHUNKS: Final = 1024
_LEAST_AVERAGE: Final = 32
"""Bytes a chunk must have on average once there are more than a few: taking a chunk costs the same,
however small it is."""

_MAX_CHUNK_LINE: Final = 256
_MAX_TRAILERS: Final = MAX_HEAD
"""Bytes of all trailer fields together."""

_NO_TRAILERS: Final = frozenset({"content-length", "transfer-encoding", "host"})
"""RFC 9110, section 6.5.1: what is needed before the body, or tells where it ends."""

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_EXTENSION: Final = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:%b)*\Z" % _EXTENSION)
"""RFC 9112, section 7.1. No text matches its parts in two ways, so time is linear.

Possessive quantifiers would say so, but early releases of Python 3.11 get them wrong."""

_TEXT: Final = bytes([9, *range(32, 127), *range(128, 256)])


class Store(Protocol):
    """Where the bytes of a body go."""

    size: int

    def add(self, data: bytes) -> None:
        """Append."""

    def close(self) -> None:
        """Drop everything."""


class LengthBody:
    """A body whose length is known (RFC 9112, section 6.2)."""

    __slots__ = ("_left", "store")

    def __init__(self, length: int, store: Store) -> None:
        self._left = length
        self.store = store

    @property
    def complete(self) -> bool:
        """Whether all of it has been taken."""
        return not self._left

    def take(self, connection: Connection) -> bool:
        """Take what has arrived; whether the body is complete."""
        if connection.buffered:
            data = connection.take(self._left)
            self._left -= len(data)
            self.store.add(data)
        return not self._left


class _Part(Enum):
    SIZE = "size"
    DATA = "data"
    END = "end"
    TRAILERS = "trailers"
    DONE = "done"


class ChunkedBody:
    """A chunked body (RFC 9112, section 7.1), decoded; trailers are checked and dropped."""

    __slots__ = ("_chunks", "_left", "_limit", "_part", "_trailer_bytes", "_trailers", "store")

    def __init__(self, limit: int, store: Store) -> None:
        """``limit`` is the greatest size of the decoded body, in bytes."""
        self._limit = limit
        self._left = 0
        self._part = _Part.SIZE
        self._trailers = 0
        self._trailer_bytes = 0
        self._chunks = 0
        self.store = store

    @property
    def complete(self) -> bool:
        """Whether all of it has been taken."""
        return self._part is _Part.DONE

    def take(self, connection: Connection) -> bool:
        """Take what has arrived; whether the body is complete.

        Raises `HeadError` with status 400, 413 or 431.
        """
        while connection.buffered and self._part is not _Part.DONE:
            if not self._STEPS[self._part](self, connection):
                return False
        return self._part is _Part.DONE

    # Each step takes one part, and says False when it has not arrived whole.

    def _take_size(self, connection: Connection) -> bool:
        line = _take_line(connection, _MAX_CHUNK_LINE, 400, "a chunk's first line")
        if line is None:
            return False
        self._begin_chunk(line)
        return True

    def _take_data(self, connection: Connection) -> bool:
        data = connection.take(self._left)
        self._left -= len(data)
        self.store.add(data)
        if not self._left:
            self._part = _Part.END
        return True

    def _take_end(self, connection: Connection) -> bool:
        end = connection.peek(2)
        if end == b"\r":
            return False
        if end != b"\r\n":
            raise HeadError(400, "a chunk does not end in CR LF")
        connection.take(2)
        self._part = _Part.SIZE
        return True

    def _take_trailer(self, connection: Connection) -> bool:
        line = _take_line(connection, MAX_FIELD, 431, "a trailer field")
        if line is None:
            return False
        if line:
            self._check_trailer(line)
        else:
            self._part = _Part.DONE
        return True

    _STEPS: ClassVar[dict[_Part, Callable[[ChunkedBody, Connection], bool]]] = {
        _Part.SIZE: _take_size,
        _Part.DATA: _take_data,
        _Part.END: _take_end,
        _Part.TRAILERS: _take_trailer,
    }

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.match(line)
        if match is None:
            raise HeadError(400, "a chunk's size is malformed")
        self._chunks += 1
        if self._chunks > _FEW_CHUNKS and self.store.size < self._chunks * _LEAST_AVERAGE:
            raise HeadError(400, "the chunks of the body are too small")
        self._left = int(match[1], 16)
        if self.store.size + self._left > self._limit:
            raise HeadError(413, "the request body is too long")
        self._part = _Part.DATA if self._left else _Part.TRAILERS

    def _check_trailer(self, line: bytes) -> None:
        self._trailers += 1
        self._trailer_bytes += len(line)
        if self._trailers > MAX_FIELDS or self._trailer_bytes > _MAX_TRAILERS:
            raise HeadError(431, "the request has too many trailer fields")
        if line.translate(None, _TEXT):
            raise HeadError(400, "a trailer field contains a control character")
        fields: dict[str, str] = {}
        read_fields([line.decode("latin-1")], fields)
        if not _NO_TRAILERS.isdisjoint(fields):
            raise HeadError(400, "a trailer field may tell neither the framing nor the host")


def _take_line(connection: Connection, limit: int, status: int, what: str) -> bytes | None:
    """Take a line; what is wrong with it does not depend on the pieces in which it arrives."""
    line = connection.take_through(b"\n")
    if (connection.buffered if line is None else len(line)) > limit + 1:
        raise HeadError(status, f"{what} is too long")
    if line is None:
        return None
    if not line.endswith(b"\r"):
        raise HeadError(400, f"{what} does not end in CR LF")
    return line[:-1]

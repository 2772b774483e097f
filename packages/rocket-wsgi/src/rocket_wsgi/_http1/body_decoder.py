"""The bodies of requests: their end, and their content without the chunked coding."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_core.http1 import MAX_FIELD, MAX_FIELDS, MAX_HEAD, HeadError, read_fields
from rocket_wsgi._environ.trailers import FRAMING, add_trailer
from rocket_wsgi._grammar import QUOTED, TOKEN

if TYPE_CHECKING:
    from rocket_core import Connection
    from rocket_wsgi._environ.request import Store

RECEIVE_SIZE: Final = 96 * 1024
"""The number of bytes of a body to receive by one system call. With fewer, the server alternates
between uploads more often, and the memory of each is no longer in the caches of the processor. For
more, malloc(3) would map new memory each time."""

_FEW_CHUNKS: Final = 1024
_MIN_AVERAGE: Final = 32
"""The minimum average size of chunks in bytes, once there are more than `_FEW_CHUNKS`. Every chunk
costs the server the same time, regardless of its size."""

_MAX_CHUNK_LINE: Final = 256
_MAX_TRAILERS: Final = MAX_HEAD
"""The maximum size of all trailer fields together, in bytes."""

_EXTENSION: Final = rf'[ \t]*;[ \t]*{TOKEN}(?:[ \t]*=[ \t]*(?:{TOKEN}|"{QUOTED}"))?'
_CHUNK_LINE: Final = re.compile(rf"([0-9A-Fa-f]{{1,16}})(?:{_EXTENSION})*\Z".encode("latin-1"))
"""The first line of a chunk (RFC 9112, section 7.1).

No text matches its parts in two ways, so matching takes linear time. Possessive quantifiers would
state that, but early releases of Python 3.11 have errors in them."""

_TEXT: Final = bytes([9, *range(32, 127), *range(128, 256)])


class LengthBody:
    """A body whose length is known (RFC 9112, section 6.2).

    Attributes:
        store: the store to which the body is added.
    """

    __slots__ = ("_left", "store")

    def __init__(self, length: int, store: Store) -> None:
        """Expect ``length`` bytes, and add them to ``store``."""
        self._left = length
        self.store = store

    @property
    def complete(self) -> bool:
        """Whether the whole body has been taken from the connection."""
        return not self._left

    def take(self, connection: Connection) -> bool:
        """Take the part that has arrived; whether the body is complete. Never waits."""
        if connection.buffered:
            data = connection.take(self._left)
            self._left -= len(data)
            self.store.add(data)
        return not self._left


class _Part(Enum):
    """The part of a chunked body that is expected next."""

    SIZE = "size"
    DATA = "data"
    END = "end"
    TRAILERS = "trailers"
    DONE = "done"


# A look-up of an attribute of an enum is expensive, and these are needed for each chunk.
_SIZE: Final = _Part.SIZE
_DATA: Final = _Part.DATA
_END: Final = _Part.END
_TRAILERS: Final = _Part.TRAILERS
_DONE: Final = _Part.DONE


class ChunkedBody:
    """A chunked body (RFC 9112, section 7.1).

    Attributes:
        store: the store to which the decoded body is added.
        trailers: the trailer fields, by name in lower case, once the body is complete.
    """

    __slots__ = (
        "_chunks",
        "_left",
        "_limit",
        "_part",
        "_trailer_bytes",
        "_trailer_count",
        "store",
        "trailers",
    )

    def __init__(self, limit: int, store: Store) -> None:
        """Add up to ``limit`` bytes of decoded body to ``store``."""
        self._limit = limit
        self._left = 0
        self._part: _Part = _SIZE
        self._trailer_count = 0
        self._trailer_bytes = 0
        self._chunks = 0
        self.store = store
        self.trailers: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        """Whether the whole body has been taken from the connection."""
        return self._part is _DONE

    def take(self, connection: Connection) -> bool:
        """Take the part that has arrived; whether the body is complete. Never waits.

        Raises `HeadError` with status 400, 413 or 431.
        """
        while connection.buffered and (part := self._part) is not _DONE:
            if part is _SIZE:
                arrived = self._take_size(connection)
            elif part is _DATA:
                arrived = self._take_data(connection)
            elif part is _END:
                arrived = self._take_end(connection)
            else:
                arrived = self._take_trailer(connection)
            if not arrived:
                return False
        return self._part is _DONE

    # Each of these takes one part. It returns False if the part has not arrived completely.

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
            self._part = _END
        return True

    def _take_end(self, connection: Connection) -> bool:
        end = connection.peek(2)
        if end == b"\r":
            return False
        if end != b"\r\n":
            raise HeadError(400, "a chunk does not end in CR LF")
        connection.take(2)
        self._part = _SIZE
        return True

    def _take_trailer(self, connection: Connection) -> bool:
        line = _take_line(connection, MAX_FIELD, 431, "a trailer field")
        if line is None:
            return False
        if line:
            self._take_field(line)
        else:
            self._part = _DONE
        return True

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.match(line)
        if match is None:
            raise HeadError(400, "a chunk's size is malformed")
        # Those before this one, of which all bytes are in the store.
        if self._chunks > _FEW_CHUNKS and self.store.size < self._chunks * _MIN_AVERAGE:
            raise HeadError(400, "the chunks of the body are too small")
        self._chunks += 1
        self._left = int(match[1], 16)
        if self.store.size + self._left > self._limit:
            raise HeadError(413, "the request body is too long")
        self._part = _DATA if self._left else _TRAILERS

    def _take_field(self, line: bytes) -> None:
        self._trailer_count += 1
        self._trailer_bytes += len(line)
        if self._trailer_count > MAX_FIELDS or self._trailer_bytes > _MAX_TRAILERS:
            raise HeadError(431, "the request has too many trailer fields")
        if line.translate(None, _TEXT):
            raise HeadError(400, "a trailer field contains a control character")
        fields: dict[str, str] = {}
        read_fields([line.decode("latin-1")], fields)
        if not FRAMING.isdisjoint(fields):
            raise HeadError(400, "a trailer field must tell neither the framing nor the host")
        for name, value in fields.items():
            add_trailer(self.trailers, name, value)


def _take_line(connection: Connection, limit: int, status: int, what: str) -> bytes | None:
    """Take a line without its line end; None if it has not arrived completely.

    Raises `HeadError` with ``status`` for a line longer than ``limit`` bytes, and with 400 for a
    wrong line end. The error does not depend on the pieces in which the line arrives.
    """
    line = connection.take_through(b"\n")
    if (connection.buffered if line is None else len(line)) > limit + 1:
        raise HeadError(status, f"{what} is too long")
    if line is None:
        return None
    if not line.endswith(b"\r"):
        raise HeadError(400, f"{what} does not end in CR LF")
    return line[:-1]

"""Bytes that arrive in pieces: kept in memory up to a bound, then in a temporary file."""

from __future__ import annotations

import tempfile
from io import BytesIO
from typing import IO, Final

MEMORY_BOUND: Final = 64 * 1024
"""Bytes kept in memory; more go to a temporary file."""


class Spool:
    """A request body, for example. What it holds in all is bounded by whoever adds to it.

    Attributes:
        size: bytes added so far.
    """

    __slots__ = ("_file", "_parts", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None
        self.size = 0

    def add(self, data: bytes) -> None:
        """Append. Raises `OSError` when the disk is full."""
        self.size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        self._parts.append(data)
        if self.size > MEMORY_BOUND:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the request
            self._file.writelines(self._parts)
            self._parts.clear()

    def open(self) -> IO[bytes]:
        """All of it as a file, from its beginning, until `close`."""
        if self._file is None:
            self._file = BytesIO(b"".join(self._parts))
            self._parts.clear()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Drop everything."""
        self._parts.clear()
        if self._file is not None:
            self._file.close()

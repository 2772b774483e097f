"""A file as the body of a response, read as far as the client's window allows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECE: Final = 64 * 1024
"""The bytes of a file that are read at once, and are in memory for a stream."""


class Lender(Protocol):
    """What counts the open files of the server: `DiskBudget`."""

    def return_file(self) -> None:
        """Note that a file that was lent is closed."""


class FileFeed:
    """Parts of one file, each with bytes before it. The lock of the protocol guards it.

    Attributes:
        complete: whether the parts are all of the body.
        released: whether the application is done with the stream.
    """

    __slots__ = ("_descriptor", "_disk", "_spans", "complete", "released")

    def __init__(
        self,
        descriptor: int,
        spans: Sequence[tuple[bytes, int, int]],
        *,
        complete: bool,
        disk: Lender | None = None,
    ) -> None:
        """Duplicate ``descriptor``, for which ``disk`` has lent a file.

        Without ``disk``, use it for as long as the caller has it open. Raises `OSError` if the
        process has no descriptor left.
        """
        self._descriptor = descriptor
        self._disk = disk
        if disk is not None:
            try:
                self._descriptor = os.dup(descriptor)
            except OSError:
                disk.return_file()
                raise
        self._spans = list(spans)
        self.complete = complete
        self.released = False

    @property
    def ended(self) -> bool:
        """Whether all is read."""
        return not self._spans

    def read(self) -> bytes:
        """Return the next piece. Raises `OSError`, also if the file is shorter than it was."""
        pieces: list[bytes] = []
        size = 0
        while self._spans and size < PIECE:
            before, offset, count = self._spans.pop(0)
            data = os.pread(self._descriptor, min(count, PIECE - size), offset) if count else b""
            if count and not data:
                raise OSError("the file is shorter than it was")
            pieces += [before, data]
            size += len(before) + len(data)
            if len(data) < count:
                self._spans.insert(0, (b"", offset + len(data), count - len(data)))
        return b"".join(pieces)

    def close(self) -> None:
        """Close the descriptor, if it was duplicated."""
        if self._disk is not None:
            os.close(self._descriptor)
            self._disk.return_file()

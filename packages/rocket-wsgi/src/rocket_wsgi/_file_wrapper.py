"""``wsgi.file_wrapper``: files sent without passing through Python (PEP 3333)."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple


class FileSpan(NamedTuple):
    """The part of an open regular file from its present position on."""

    descriptor: int
    offset: int
    size: int


class FileWrapper:
    """Wraps a file-like object. What is no regular file is read in blocks."""

    def __init__(self, filelike: Any, block_size: int = 64 * 1024) -> None:
        """``filelike`` needs a ``read`` method; its ``close``, if any, is called at the end."""
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self.block_size):
            yield block

    def span(self) -> FileSpan | None:
        """What a system call could send, or None where there is no regular file beneath."""
        # Other files have a descriptor too, but what they read is not what is in it: it may be
        # compressed, or encoded.
        file = getattr(self.filelike, "file", self.filelike)  # as the wrappers of tempfile have it
        if not isinstance(getattr(file, "raw", file), io.FileIO):
            return None
        try:
            descriptor = self.filelike.fileno()
            offset = self.filelike.tell()
            status = os.fstat(descriptor)
        except (AttributeError, OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return FileSpan(descriptor, offset, max(status.st_size - offset, 0))

"""``wsgi.file_wrapper``: files sent without passing through Python (PEP 3333)."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from typing import Any, Final, NamedTuple


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
        """What a system call could send, or None where there is no regular file beneath.

        Nor where the system makes up the file while it is read (proc(5), sysfs(5)), so that its
        size says nothing of what is in it.
        """
        if not _reads_a_file(self.filelike):
            return None
        try:
            descriptor = self.filelike.fileno()
            offset = self.filelike.tell()
            status = os.fstat(descriptor)
        except (AttributeError, OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode) or _is_made_up(descriptor, status):
            return None
        return FileSpan(descriptor, offset, max(status.st_size - offset, 0))


def _is_made_up(descriptor: int, status: os.stat_result) -> bool:
    """Whether a file may hold something else than its size says."""
    if status.st_size == 0:
        return True
    # One with holes takes no space either, but its file system has some.
    return getattr(status, "st_blocks", 1) == 0 and os.fstatvfs(descriptor).f_blocks == 0


_KINDS: Final = frozenset({io.BufferedReader, io.BufferedRandom, io.FileIO})


def _reads_a_file(filelike: Any) -> bool:
    """Whether what it reads is what is in a file of the system.

    Others have a descriptor too, but decompress, decode or select what is in it. The wrappers of
    `tempfile` and of Django keep the file in ``file``, and have its own method ``read``.
    """
    file = getattr(filelike, "file", filelike)
    if type(file) not in _KINDS or type(getattr(file, "raw", file)) is not io.FileIO:
        return False
    read = filelike.read
    return bool(getattr(read, "__wrapped__", read) == file.read)

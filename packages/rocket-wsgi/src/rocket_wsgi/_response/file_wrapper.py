"""``wsgi.file_wrapper``: files sent without passing through Python (PEP 3333)."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from typing import Any, Final, NamedTuple


class FileSpan(NamedTuple):
    """The part of an open regular file from its present position on.

    Attributes:
        descriptor: the descriptor of the file; it belongs to the file object.
        offset: the position of the first byte.
        size: the number of bytes.
    """

    descriptor: int
    offset: int
    size: int


class FileWrapper:
    """Wraps a file-like object (PEP 3333).

    The system sends a regular file. Any other object is read in blocks of ``block_size`` bytes.
    """

    def __init__(self, filelike: Any, block_size: int = 64 * 1024) -> None:
        """Wrap ``filelike``, which has ``read``. If it has ``close``, the server calls that."""
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self.block_size):
            yield block

    def span(self) -> FileSpan | None:
        """Return the part of a regular file that a system call can send; None for other objects.

        Returns None also for a file that the system generates when it is read (proc(5), sysfs(5)),
        because its size does not tell the length of its content.
        """
        if not _reads_a_file(self.filelike):
            return None
        try:
            descriptor = self.filelike.fileno()
            offset = self.filelike.tell()
            status = os.fstat(descriptor)
        except (AttributeError, OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode) or _is_generated(descriptor, status):
            return None
        return FileSpan(descriptor, offset, max(status.st_size - offset, 0))


def _is_generated(descriptor: int, status: os.stat_result) -> bool:
    """Return whether the content of a file may be longer than its size."""
    if status.st_size == 0:
        return True
    # A file that consists of holes has no blocks either, but its file system has.
    return getattr(status, "st_blocks", 1) == 0 and os.fstatvfs(descriptor).f_blocks == 0


_KINDS: Final = frozenset({io.BufferedReader, io.BufferedRandom, io.FileIO})


def _reads_a_file(filelike: Any) -> bool:
    """Return whether the method ``read`` returns the bytes of a file as they are.

    Other objects have a descriptor, too, but decompress, decode or select the bytes. The wrappers
    of `tempfile` and of Django have the file in ``file``, and its own method as ``read``.
    """
    file = getattr(filelike, "file", filelike)
    if type(file) not in _KINDS or type(getattr(file, "raw", file)) is not io.FileIO:
        return False
    read = filelike.read
    return bool(getattr(read, "__wrapped__", read) == file.read)

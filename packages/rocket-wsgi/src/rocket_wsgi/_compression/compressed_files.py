"""Static files that were compressed, in memory, as many as fit.

A file is compressed when it is first asked for in a coding, by the thread that answers. Other
threads that are asked for it meanwhile send it as it is: nothing waits. The version of the file is
part of the key, so the content of a file that has changed is compressed again, and what was made of
the old version becomes the oldest, which is removed when room is needed.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from threading import Lock
from typing import Final, NamedTuple

from rocket_wsgi._compression.coders import Coder, Coders
from rocket_wsgi._compression.head import MIN_SIZE, compresses

CAPACITY: Final = 32 << 20
"""The maximum size of all compressed files of a process, in bytes."""

MAX_FILE: Final = 4 << 20
"""The maximum size of a file that is compressed, in bytes."""

_OVERHEAD: Final = 512
"""What an entry occupies besides its content, in bytes, at most."""


class _Key(NamedTuple):
    device: int
    inode: int
    modified: int
    size: int
    coding: str


class CompressedFiles:
    """The compressed files of a site. Any thread may use it."""

    def __init__(self, coders: Coders, capacity: int = CAPACITY) -> None:
        """Remember up to ``capacity`` bytes."""
        self._coders = coders
        self._capacity = capacity
        self._lock: Final = Lock()
        """Guards the following attributes, and is held for a few operations only."""
        self._found: Final[OrderedDict[_Key, bytes]] = OrderedDict()
        """The compressed content, the least recently used first; empty if it gains nothing."""
        self._begun: Final[set[_Key]] = set()
        """What some thread compresses."""
        self._size = 0

    @staticmethod
    def suits(media_type: str, size: int) -> bool:
        """Return whether a file of this type and size is compressed for clients that accept it."""
        return MIN_SIZE <= size <= MAX_FILE and compresses(media_type)

    def choose(self, accepted: str) -> Coder | None:
        """Return the coding for a client that sends ``Accept-Encoding: accepted``."""
        return self._coders.choose(accepted)

    def get(self, descriptor: int, status: os.stat_result, coder: Coder) -> bytes | None:
        """Return the compressed content of an open file, whose ``status`` is given.

        None: it would not be smaller, or another thread is about to compress it, or the file is
        about to change. Raises `OSError` if the file cannot be read.
        """
        key = _Key(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, coder.name)
        with self._lock:
            data = self._found.get(key)
            if data is not None:
                self._found.move_to_end(key)
                return data or None
            if key in self._begun:
                return None
            self._begun.add(key)
        try:
            plain = os.pread(descriptor, status.st_size + 1, 0)
            if len(plain) != status.st_size:
                return None
            data = coder.compress_file(plain)
            if len(data) >= len(plain):
                data = b""
            self._keep(key, data)
        finally:
            with self._lock:
                self._begun.discard(key)
        return data or None

    def _keep(self, key: _Key, data: bytes) -> None:
        size = len(data) + _OVERHEAD
        if size > self._capacity:
            return
        with self._lock:
            self._found[key] = data
            self._size += size
            while self._size > self._capacity:
                _, oldest = self._found.popitem(last=False)
                self._size -= len(oldest) + _OVERHEAD

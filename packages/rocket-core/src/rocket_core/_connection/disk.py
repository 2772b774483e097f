"""Where bodies go that are too large for memory, and how much of it they may take."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import threading
import time
from typing import IO, TYPE_CHECKING, Final, Protocol

from rocket_core._errors import SpoolError
from rocket_core._system.rare_log import RareLog

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger("rocket_core.spool")

LEAST: Final = 64 * 1024
"""Bytes of a body that is kept in memory, whatever there is in files."""

TOTAL_SPOOLED: Final = 4 << 30
"""Bytes of all bodies together that are kept in files."""

_MOST_KEPT_FREE: Final = 1 << 30
_SHARE_KEPT_FREE: Final = 10

_ELSEWHERE: Final = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108 - of no names that can be foreseen
"""Directories that do where that of `tempfile` has vanished."""

_BY_DESCRIPTOR: Final = hasattr(os, "statvfs")
"""Whether the system tells how full the file system of an open file is."""

_UNUSABLE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ESTALE}
)
"""What a directory that has vanished, or is no longer for this process, is answered with."""


class Holder(Protocol):
    """A body that arrives."""

    def pace(self, now: float) -> float:
        """Bytes per second that have arrived lately."""

    def cut(self) -> None:
        """Give everything up that is in a file."""


class Disk:
    """The files of all bodies of a server. Any thread may call its methods.

    What is lacking is taken from the slowest of those bodies that hold no less than the average.
    So it is no use to send much, or to send slowly, and small uploads find room while large ones
    contend for it. Bodies that are complete are with the application and stay.

    ``_lock`` guards what the bodies hold, and the sums. The thread that makes room by cutting holds
    ``_making_room``, and may take ``_lock`` and that of a spool meanwhile.
    """

    def __init__(self, limit: int = TOTAL_SPOOLED, keep_free: int | None = None) -> None:
        """Bodies may hold ``limit`` bytes, and leave ``keep_free`` bytes of the file system free.

        None: a tenth of the file system, at most 1 GiB.
        """
        self._limit = limit
        self.longest: Final = max(limit, LEAST)
        """Bytes of the longest body that finds room while there is no other."""
        self._keep_free = keep_free
        self._lock = threading.Lock()
        self._making_room = threading.Lock()
        self._arriving: dict[Holder, int] = {}
        self._complete: dict[Holder, int] = {}
        self._arriving_bytes = 0
        self._held = 0
        self._rare_log = RareLog(_log)

    @property
    def held(self) -> int:
        """Bytes that bodies hold, or may write at once."""
        return self._held

    def open(self, holder: Holder) -> IO[bytes]:
        """A file for ``holder``, which holds nothing yet. Raises `SpoolError`."""
        try:
            file = self._open()
        except OSError as error:
            raise self.failed(error) from error
        with self._lock:
            self._arriving[holder] = 0
        return file

    def _open(self) -> IO[bytes]:
        try:
            return tempfile.TemporaryFile()
        except OSError as error:
            if error.errno not in _UNUSABLE:
                raise
            for directory in _ELSEWHERE:
                try:
                    file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - the spool's
                except OSError:
                    continue
                self._rare_log.warning(
                    "no upload can be kept in %s (%s): it is kept in %s",
                    tempfile.tempdir,
                    error.strerror,
                    directory,
                )
                return file
            raise

    def failed(self, error: OSError) -> SpoolError:
        """What to raise where the system has refused to keep a body, with ``error``."""
        self._rare_log.warning(
            "an upload is refused: cannot keep it in a file: %s", error.strerror or error
        )
        return SpoolError(f"the body cannot be kept: {error}")

    def admits(self, length: int) -> bool:
        """Whether ``length`` bytes could find room now, at the cost of what arrives."""
        for directory in _directories():
            try:
                free = self._measure(directory)[0]
            except OSError:
                continue
            break
        else:
            return True  # what is wrong shows when a file is opened
        with self._lock:
            room = min(self._limit - self._held, free) + self._arriving_bytes
        if length <= room:
            return True
        self._complain(directory)
        return False

    def take(self, holder: Holder, count: int, descriptor: int) -> None:
        """Let ``holder`` write ``count`` bytes more to its file. Raises `SpoolError`.

        It is then cut, as it may be at any time before `complete`.
        """
        if self._grant(holder, count, descriptor):
            return
        # (1) This thread finds no room, (2) another cuts an upload for the same reason, (3) what it
        # held is free once its file is closed. So this thread waits for that and looks again before
        # it cuts one more. It waits for the system only.
        with self._making_room:
            while not self._grant(holder, count, descriptor):
                self._complain(descriptor)
                with self._lock:
                    slowest = self._slowest()
                slowest.cut()
                if slowest is holder:
                    raise SpoolError("there is no room for the body")

    def _grant(self, holder: Holder, count: int, descriptor: int) -> bool:
        """Whether there is room for ``count`` bytes, which ``holder`` then has."""
        free = self._measure(descriptor)[0]
        with self._lock:
            if holder not in self._arriving:
                raise SpoolError("the body was given up for others")
            if count > free or self._held + count > self._limit:
                return False
            # (1) This thread measures, (2) another one is given the same room, (3) and so is this
            # one: by as much as all of them may write at once the file system can become fuller
            # than it should be, and no more, because the next look at it shows what was written.
            # The total is exact.
            self._arriving[holder] += count
            self._arriving_bytes += count
            self._held += count
            return True

    def _slowest(self) -> Holder:
        """With the lock: the one to cut."""
        now = time.monotonic()
        average = self._arriving_bytes / len(self._arriving)
        return min(
            (each for each, held in self._arriving.items() if held >= average),
            key=lambda each: each.pace(now),
        )

    def complete(self, holder: Holder) -> None:
        """``holder`` has arrived, and is not cut any more unless it has been before."""
        with self._lock:
            if holder in self._arriving:
                self._complete[holder] = held = self._arriving.pop(holder)
                self._arriving_bytes -= held

    def give_back(self, holder: Holder) -> None:
        """``holder`` closes its file."""
        with self._lock:
            arriving = self._arriving.pop(holder, 0)
            self._arriving_bytes -= arriving
            self._held -= arriving + self._complete.pop(holder, 0)

    def _measure(self, place: int | str) -> tuple[int, int]:
        """Bytes that may be written where ``place`` is, and bytes that are to stay free there."""
        usage = shutil.disk_usage(place if _BY_DESCRIPTOR else tempfile.gettempdir())
        keep = self._keep_free
        if keep is None:
            keep = min(usage.total // _SHARE_KEPT_FREE, _MOST_KEPT_FREE)
        return usage.free - keep, keep

    def _complain(self, place: int | str) -> None:
        keep = self._measure(place)[1]
        self._rare_log.warning(
            "uploads hold %d MiB in files, of %d MiB they may, and leave %d MiB free in %s: "
            "the slowest large upload is answered 503",
            self.held >> 20,
            self._limit >> 20,
            keep >> 20,
            tempfile.tempdir,
        )


def _directories() -> Iterator[str]:
    try:
        yield tempfile.gettempdir()
    except FileNotFoundError:  # there is none at all
        return
    yield from _ELSEWHERE


def unlimited() -> Disk:
    """Room for bodies that belong to no server."""
    return Disk(limit=1 << 62, keep_free=0)

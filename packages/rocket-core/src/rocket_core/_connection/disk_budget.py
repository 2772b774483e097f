"""A bound for the disk space that all large request bodies hold together, in files.

Theory of operation
-------------------
All bodies of a server share the room in files, and the number of files, which is limited since each
takes a descriptor: over HTTP/2, one client could have a hundred. A body that arrives asks for room
before it writes. While there is none, the slowest body that holds no less than the average is given
up: its thread finds out when it writes next. Where there are too many files, of which each body has
one, that is the slowest of all. A body that is complete is with the application, and stays.

The one thread that gives up bodies holds ``_making_room`` meanwhile. Under this lock it takes that
of a `Spool` and then ``_lock``, one after the other. No thread waits for a client with any of them.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, Protocol

from rocket_core._errors import SpoolError
from rocket_core._system.rare_log import RareLog

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger("rocket_core.spool")

LEAST: Final = 64 * 1024
"""Bytes of a body that are kept in memory in any case, however full the files are."""

TOTAL_SPOOLED: Final = 4 << 30
"""The maximum number of bytes in files, of all bodies together."""

MOST_FILES: Final = 1 << 20
"""The number of files that are open at a time, where a server says nothing."""

_MOST_KEPT_FREE: Final = 1 << 30
_SHARE_KEPT_FREE: Final = 10
"""By default a tenth of the file system is kept free, and at most so many bytes."""

_ELSEWHERE: Final = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108 - of no names that can be foreseen
"""Directories for use when that of `tempfile` has vanished."""

_BY_DESCRIPTOR: Final = hasattr(os, "statvfs")
"""Whether the system tells how full the file system of an open file is."""

_UNUSABLE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ESTALE}
)
"""The errors for a directory that has vanished, or that this process may no longer use."""


class Holder(Protocol):
    """A body in a file: a `Spool`, as far as that matters here."""

    def pace(self, now: float) -> float:
        """Return the bytes per second that have arrived lately."""

    def cut(self) -> None:
        """Give up what is in the file."""


class DiskBudget:
    """The disk space that the bodies of a server share. Any thread may call the methods.

    Room is taken from the slowest of the bodies that hold no less than the average. So a client
    gains nothing by sending much, or by sending slowly, and small uploads find room while large
    ones contend for it.

    ``_lock`` guards what the bodies hold, the sums, and the number of files. ``_making_room`` is
    held by the one thread that gives up bodies.
    """

    def __init__(
        self,
        limit: int = TOTAL_SPOOLED,
        keep_free: int | None = None,
        *,
        files: int = MOST_FILES,
    ) -> None:
        """Let bodies hold ``limit`` bytes, and leave ``keep_free`` bytes of the file system free.

        ``keep_free`` of None: a tenth of the file system, at most 1 GiB. No more than ``files`` are
        open at a time, with those that `lend_file` counts.
        """
        self._limit = limit
        self._files = files
        self._lent_files = 0
        self.longest: Final = max(limit, LEAST)
        """Bytes of the longest body that finds room when it is the only one."""
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
        """Bytes that bodies hold, with the bytes that they have room for and may write at once."""
        return self._held

    def open(self, holder: Holder) -> IO[bytes]:
        """Open a file for ``holder``, which holds nothing yet. Raises `SpoolError`."""
        if not self._grant_file(holder):
            self._make_room_for_file(holder)
        try:
            return self._open()
        except OSError as error:
            self.give_back(holder)
            raise self.failed(error) from error

    def _grant_file(self, holder: Holder) -> bool:
        """Let ``holder`` have a file if there may be one more; return whether."""
        with self._lock:
            if not self._may_open:
                return False
            self._arriving[holder] = 0
            return True

    def _make_room_for_file(self, holder: Holder) -> None:
        """Give up bodies until ``holder`` may have a file. Raises `SpoolError`."""
        with self._making_room:
            while not self._grant_file(holder):
                self._rare_log.warning(
                    "uploads and responses have %d files open: refusing the slowest large upload",
                    self._files,
                )
                now = time.monotonic()
                with self._lock:
                    if not self._arriving:
                        raise SpoolError("there are too many files for the body to have one")
                    slowest = min(self._arriving, key=lambda each: each.pace(now))
                slowest.cut()

    @property
    def _may_open(self) -> bool:
        """With the lock: whether there may be one more file."""
        return len(self._arriving) + len(self._complete) + self._lent_files < self._files

    def lend_file(self) -> bool:
        """Count a file that is no body, such as a response; return False if there are too many."""
        with self._lock:
            if not self._may_open:
                return False
            self._lent_files += 1
            return True

    def return_file(self) -> None:
        """Note that a file that was lent is closed."""
        with self._lock:
            self._lent_files -= 1

    def _open(self) -> IO[bytes]:
        file, directory, error = _open_file()
        if error is not None:
            self._rare_log.warning(
                "uploads cannot be kept in %s (%s): this one is kept in %s",
                tempfile.tempdir,
                error.strerror,
                directory,
            )
        return file

    def failed(self, error: OSError) -> SpoolError:
        """Return what to raise when the system has refused to keep a body, with ``error``."""
        self._rare_log.warning(
            "an upload is refused: cannot keep it in a file: %s", error.strerror or error
        )
        return SpoolError(f"the body cannot be kept: {error}")

    def admits(self, length: int) -> bool:
        """Return whether ``length`` bytes could find room, at the cost of bodies that arrive."""
        for directory in _directories():
            try:
                free = self._measure(directory)[0]
            except OSError:
                continue
            break
        else:
            return True  # opening a file will tell what is wrong
        with self._lock:
            room = min(self._limit - self._held, free) + self._arriving_bytes
        if length <= room:
            return True
        self._complain(directory)
        return False

    def take(self, holder: Holder, count: int, descriptor: int) -> None:
        """Let ``holder`` write ``count`` more bytes to its file.

        Raises `SpoolError` when the body is given up, as it may be at any time before `complete`.
        """
        if self._grant(holder, count, descriptor):
            return
        # 1. This thread finds no room. 2. Another thread gives up an upload for the same reason.
        # 3. The room of that upload is free once its file is closed. So this thread waits for that,
        # and looks again before it gives up one more. It waits for the system only.
        with self._making_room:
            while not self._grant(holder, count, descriptor):
                self._complain(descriptor)
                with self._lock:
                    slowest = self._slowest()
                slowest.cut()
                if slowest is holder:
                    raise SpoolError("there is no room for the body")

    def _grant(self, holder: Holder, count: int, descriptor: int) -> bool:
        """Give ``holder`` room for ``count`` bytes if there is any; return whether there was."""
        free = self._measure(descriptor)[0]
        with self._lock:
            if holder not in self._arriving:
                raise SpoolError("the body was given up to make room for others")
            if count > free or self._held + count > self._limit:
                return False
            # 1. This thread measures the file system. 2. Another thread is given the same room.
            # 3. So is this one. The file system can become fuller than it should be, by as much as
            # all threads may write at once, and no more, because the next measure shows what was
            # written. The total of all bodies is exact.
            self._arriving[holder] += count
            self._arriving_bytes += count
            self._held += count
            return True

    def _slowest(self) -> Holder:
        """With the lock: return the body to give up."""
        now = time.monotonic()
        average = self._arriving_bytes / len(self._arriving)
        return min(
            (each for each, held in self._arriving.items() if held >= average),
            key=lambda each: each.pace(now),
        )

    def complete(self, holder: Holder) -> None:
        """Note that ``holder`` has arrived; it is not given up any more, unless it was before."""
        with self._lock:
            if holder in self._arriving:
                self._complete[holder] = held = self._arriving.pop(holder)
                self._arriving_bytes -= held

    def give_back(self, holder: Holder) -> None:
        """Note that ``holder`` closes its file."""
        with self._lock:
            arriving = self._arriving.pop(holder, 0)
            self._arriving_bytes -= arriving
            self._held -= arriving + self._complete.pop(holder, 0)

    def _measure(self, place: int | str) -> tuple[int, int]:
        """Return the bytes that may be written where ``place`` is, and those kept free there."""
        return _measure(place, self._keep_free)

    def _complain(self, place: int | str) -> None:
        keep = self._measure(place)[1]
        self._rare_log.warning(
            "uploads use %d MiB of disk space, at most %d MiB (max_spool), and leave %d MiB free "
            "in %s (spool_free): refusing the slowest large upload",
            self.held >> 20,
            self._limit >> 20,
            keep >> 20,
            tempfile.tempdir,
        )


def _open_file() -> tuple[IO[bytes], str | None, OSError | None]:
    """Open a temporary file, where necessary in another directory than that of `tempfile`.

    Returns that directory, and the error for which it was necessary, too. Raises `OSError`.
    """
    try:
        return tempfile.TemporaryFile(), None, None
    except OSError as error:
        if error.errno not in _UNUSABLE:
            raise
        for directory in _ELSEWHERE:
            with suppress(OSError):
                return tempfile.TemporaryFile(dir=directory), directory, error
        raise


def _measure(place: int | str, keep: int | None) -> tuple[int, int]:
    """Return the bytes that may be written where ``place`` is, and those kept free there.

    The latter are ``keep``, or by default a share of the file system.
    """
    usage = shutil.disk_usage(place if _BY_DESCRIPTOR else tempfile.gettempdir())
    if keep is None:
        keep = min(usage.total // _SHARE_KEPT_FREE, _MOST_KEPT_FREE)
    return usage.free - keep, keep


def spool_fault(keep_free: int | None = None) -> str:
    """Return why no request body could be kept in a file now; empty if one could.

    ``keep_free`` is that of `DiskBudget`.
    """
    try:
        file, directory, _ = _open_file()
    except OSError as error:
        return (
            "no directory for temporary files can be written "
            f"({error.strerror or error}): set TMPDIR to one that can"
        )
    with file:
        left, keep = _measure(file.fileno(), keep_free)
    if left >= LEAST:
        return ""
    return (
        f"{directory or tempfile.gettempdir()} has only {max(left + keep, 0) >> 20} MiB free, of "
        f"which spool_free keeps {keep >> 20} MiB: free some, or set TMPDIR to another directory"
    )


def _directories() -> Iterator[str]:
    try:
        yield tempfile.gettempdir()
    except FileNotFoundError:  # there is no directory for temporary files
        return
    yield from _ELSEWHERE


def unlimited() -> DiskBudget:
    """Return room without a limit, for bodies that belong to no server."""
    return DiskBudget(limit=1 << 62, keep_free=0)

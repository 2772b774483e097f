"""Bytes that arrive in pieces, kept in memory up to a bound, and then in a temporary file.

Theory of operation
-------------------
One thread at a time adds to a spool: the owner of the connection from which the bytes come. Any
other thread may give up a spool whose bytes are in a file, to make room for its own; see
`DiskBudget`. For that, and only then, a spool has a lock.

    ======  ==============================================  ===================
    place   meaning                                         followed by
    ======  ==============================================  ===================
    MEMORY  the bytes are in memory                         FILE
    FILE    the bytes arrive in a file                      READER, GONE
    READER  all bytes have arrived, and are read            CLOSED
    GONE    the bytes were given up                         CLOSED
    CLOSED  the spool is closed                             -
    ======  ==============================================  ===================
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from io import BytesIO
from typing import IO, Final, Protocol

from rocket_core._connection.budget import Budget
from rocket_core._connection.disk_budget import LEAST, DiskBudget, unlimited
from rocket_core._errors import SpoolError

MEMORY_BOUND: Final = LEAST
"""Bytes that are kept in memory in any case."""

_SMALL: Final = 1024
"""Bytes of a piece up to which it is joined to the piece before it: a piece of its own takes about
40 bytes more than it holds."""

BUDGETED_BOUND: Final = 1024 * 1024
"""Bytes that are kept in memory where the budget allows it. A longer body goes to a file."""

_GRAIN: Final = 64 * 1024
"""Bytes of room in a file that are asked for at once."""


class _Place(Enum):
    """The place where the bytes are."""

    MEMORY = "memory"
    FILE = "file"
    """The bytes arrive in a file."""
    READER = "reader"
    """All bytes have arrived in a file, which is read."""
    GONE = "gone"
    """The bytes were given up to make room for others."""
    CLOSED = "closed"

    __hash__ = object.__hash__


_MEMORY: Final = _Place.MEMORY  # an attribute of an enum costs a search


class Source(Protocol):
    """The origin of the bytes: a connection, as far as that matters here."""

    def pace(self, now: float) -> float:
        """Return the bytes per second that have come lately, at a time of `time.monotonic`."""


class Spool:
    """Bytes such as the body of a request. The user of the spool bounds how many there are.

    One thread at a time uses the spool; any other thread may call `cut` and `pace`. ``_lock``,
    which exists once the bytes are in a file, guards the file and the place, so that a file is not
    closed while it is written.

    Attributes:
        size: bytes added so far.
    """

    __slots__ = (
        "_budget",
        "_disk",
        "_file",
        "_lock",
        "_memory",
        "_parts",
        "_place",
        "_room",
        "_source",
        "_taken",
        "size",
    )

    def __init__(
        self,
        budget: Budget | None = None,
        disk: DiskBudget | None = None,
        source: Source | None = None,
        memory: int = MEMORY_BOUND,
    ) -> None:
        """Hold what ``budget`` and ``disk`` allow.

        Args:
            budget: the bytes that many spools may hold in memory together, beyond the bytes that
                each holds in any case. None: each holds only the latter.
            disk: the room in files that many spools share. None: there is no limit.
            source: what the bytes come from; the slowest gives way to others.
            memory: the bytes that this holds in memory in any case.
        """
        self._parts: list[bytes | bytearray] = []
        self._place = _MEMORY
        self._file: IO[bytes] | None = None
        self._lock: threading.Lock | None = None
        self._budget = budget
        self._disk = disk
        self._source = source
        self._memory = memory
        self._taken = 0
        self._room = 0
        """Bytes for which there is room in the file."""
        self.size = 0

    def announce(self, length: int) -> None:
        """Prepare for ``length`` bytes. Raises `SpoolError` when there is certainly no room."""
        if length > BUDGETED_BOUND and self._disk is not None and not self._disk.admits(length):
            raise SpoolError("there is no room for the body")

    def add(self, data: bytes) -> None:
        """Append ``data``. Raises `SpoolError` when there is no room for it, or no longer."""
        self.size += len(data)
        if self._place is not _MEMORY:
            self._write((data,))
            return
        if self._parts and len(data) < _SMALL:
            self._join(data)
        else:
            self._parts.append(data)
        if self.size > self._memory and not self._may_hold():
            self._move()

    def _join(self, data: bytes) -> None:
        last = self._parts[-1]
        if isinstance(last, bytearray):
            last += data
        else:
            self._parts.append(bytearray(data))

    def _may_hold(self) -> bool:
        """Take from the budget what is held and not yet taken; return whether all is taken."""
        if self._budget is None or self.size > BUDGETED_BOUND:
            return False
        self._taken += self._budget.take(self.size - self._taken)
        return self._taken == self.size

    def _give_back(self) -> None:
        if self._budget is not None and self._taken:
            self._budget.give_back(self._taken)
            self._taken = 0

    # -- in a file -----------------------------------------------------------------------------

    def _move(self) -> None:
        """Move the bytes from memory to a file. Raises `SpoolError`."""
        if self._disk is None:
            self._disk = unlimited()
        self._file = self._disk.open(self)
        self._place = _Place.FILE
        self._lock = threading.Lock()
        self._write(self._parts)
        self._parts.clear()
        self._give_back()

    def _write(self, parts: Iterable[bytes | bytearray]) -> None:
        lock, disk, file = self._lock, self._disk, self._file
        if lock is None or disk is None or file is None:
            raise _given_up()
        lacking = self.size - self._room
        try:
            if lacking > 0:
                lacking = -(-lacking // _GRAIN) * _GRAIN
                disk.take(self, lacking, file.fileno())
                self._room += lacking
            with lock:
                # 1. This thread is given room. 2. Another thread gives up this body, and gives the
                # room back. 3. This thread looks at the place under the lock, under which no other
                # thread gives up the body, and writes nothing.
                if self._place is not _Place.FILE:
                    raise _given_up()
                file.writelines(parts)
        except SpoolError:
            raise
        except (OSError, ValueError) as error:
            raise self._failed(disk, error) from error

    def _failed(self, disk: DiskBudget, error: OSError | ValueError) -> SpoolError:
        """Return what to raise when the file was not written, with ``error``."""
        if self._place is _Place.GONE or not isinstance(error, OSError):  # it was just closed
            return _given_up()
        self.cut()
        return disk.failed(error)

    def pace(self, now: float) -> float:
        """Return the bytes per second that have come lately. Any thread may call this."""
        source = self._source
        return 0.0 if source is None else source.pace(now)

    def cut(self) -> None:
        """Give up what is in the file, unless it is complete. Any thread may call this."""
        lock, disk = self._lock, self._disk
        if lock is None or disk is None:
            return
        with lock:
            if self._place is not _Place.FILE:
                return
            self._place = _Place.GONE
            file, self._file = self._file, None
        # Before the file is closed, because: 1. the owner is about to measure the file system of
        # its descriptor, 2. this thread closes the descriptor, whose number gets another meaning,
        # 3. the owner measures another file system. Then `DiskBudget.take` must find that this body
        # is gone, and not take room from others for it.
        disk.give_back(self)
        _close(file)

    def _complete(self, lock: threading.Lock, disk: DiskBudget) -> None:
        # From here on no other thread finds this body in order to give it up. A thread that has
        # found it before does so before this one has the lock, or comes too late.
        disk.complete(self)
        try:
            with lock:
                if self._place is _Place.GONE or self._file is None:
                    raise _given_up()
                self._file.flush()
                self._place = _Place.READER
        except SpoolError:
            raise
        except OSError as error:
            raise self._failed(disk, error) from error

    # -- the end -------------------------------------------------------------------------------

    def open(self) -> IO[bytes]:
        """Return all bytes as a file, at its beginning, until `close`. Raises `SpoolError`."""
        if self._place is _MEMORY:
            if self._file is None:
                self._file = BytesIO(b"".join(self._parts))
                self._parts.clear()
                return self._file
        elif self._place is not _Place.CLOSED and self._lock is not None and self._disk is not None:
            self._complete(self._lock, self._disk)
        if self._file is None:
            raise ValueError("the spool is closed")
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Drop all bytes, and give back the room they take."""
        self._parts.clear()
        if self._place is _MEMORY:
            if self._file is not None:
                self._file.close()
        else:
            self.cut()
            if self._place is _Place.READER and self._disk is not None:
                self._disk.give_back(self)
            self._place = _Place.CLOSED
            _close(self._file)
        self._source = None
        if self._taken:
            self._give_back()


def _given_up() -> SpoolError:
    return SpoolError("the body was given up to make room for others")


def _close(file: IO[bytes] | None) -> None:
    if file is not None:
        with suppress(OSError):  # what is still to be written is of no use any more
            file.close()

"""Doing things one after another, in the order in which any threads ask, without a lock held.

Theory of operation. What is to be done waits in a queue. The thread that finds no other doing so
does what waits, until nothing does; the lock guards the queue only, and is free while an entry is
handled. Other threads leave their entries to that thread and go on.

A thread must not be kept by the work of others for ever, and the queue must not grow without bound
because threads add entries faster than one can handle them. So a thread that has handled `SHARE`
entries is relieved by the next one that adds an entry, which waits until the present entry is
handled. And beyond `BACKLOG` entries, a thread that adds one waits until there is room again. Both
wait for another thread's work, never for a client. The waits have an end, because handlers do not
wait and do not add entries.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_Entry = TypeVar("_Entry")

BACKLOG: Final = 64
"""The number of entries beyond which threads that add one wait."""

SHARE: Final = 16
"""The number of entries that a thread handles before another one relieves it."""


class Sequencer(Generic[_Entry]):
    """Handles entries in one order, on the threads that add them.

    Attributes:
        lock: guards the order. Who holds it decides what comes next: see `add`.
    """

    __slots__ = ("_busy", "_called", "_entries", "_free", "_handle", "_handled", "_room", "lock")

    def __init__(self, handle: Callable[[_Entry], object]) -> None:
        """Handle each entry by ``handle``, which does not wait and adds no entries."""
        self.lock = threading.Lock()
        self._room = threading.Condition(self.lock)
        self._free = threading.Condition(self.lock)
        self._entries: deque[_Entry] = deque()
        self._handle = handle
        self._busy = False
        """Whether a thread handles entries."""
        self._called = False
        """Whether a thread was told to `run` that has not begun yet."""
        self._handled = 0
        """The number of entries that the present thread has begun to handle."""

    def make_room(self) -> None:
        """Wait until there is room for an entry. Called with the lock, before `add`."""
        while (self._busy or self._called) and len(self._entries) >= BACKLOG:
            self._room.wait()

    def add(self, entry: _Entry) -> bool:
        """Add an entry as the last, with the lock held; whether the caller is to `run`."""
        self._entries.append(entry)
        if self._called or (self._busy and self._handled < SHARE):
            return False
        self._called = True
        return True

    def run(self) -> None:
        """Handle what waits. Called without the lock, if `add` said so."""
        # 1. This thread finds the queue empty, and gives up its task under the same lock.
        # 2. Another thread adds an entry: before 1, and this thread sees it; or after 1, and the
        #    other thread finds the task free.
        with self.lock:
            while self._busy:  # the thread that is relieved handles its last entry
                self._free.wait()
            self._busy = True
            self._called = False
            self._handled = 0
        try:
            while (entry := self._next()) is not None:
                self._handle(entry)
        except BaseException:
            # The entries behind the one that failed are handled by the next thread that adds one.
            with self.lock:
                self._stop()
            raise

    def _next(self) -> _Entry | None:
        with self.lock:
            if self._called or not self._entries:
                self._stop()
                return None
            self._handled += 1
            self._room.notify()
            return self._entries.popleft()

    def _stop(self) -> None:
        """With the lock: leave the task to the thread that was called, or to the next one."""
        self._busy = False
        self._free.notify()
        self._room.notify_all()

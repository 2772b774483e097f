"""Doing things one after another, in the order in which any threads ask, without a lock held.

Theory of operation. What is to be done waits in a queue. The thread that finds no other doing so
does what waits, until nothing does; the lock guards the queue only, and is free while an entry is
handled. Other threads leave their entries to that thread and go on.

A thread must not be kept by the work of others for ever, and the queue must not grow without bound
because threads add entries faster than one can handle them. So beyond `BACKLOG` entries, a thread
that adds one waits until there is room again: it waits for another thread's work, never for a
client. The wait has an end, because handlers do not wait and do not add entries.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_Entry = TypeVar("_Entry")

BACKLOG: Final = 64
"""The number of entries beyond which threads that add one wait."""


class Sequencer(Generic[_Entry]):
    """Handles entries in one order, on the threads that add them.

    Attributes:
        lock: guards the order. Who holds it decides what comes next: see `add`.
    """

    __slots__ = ("_busy", "_entries", "_handle", "_room", "lock")

    def __init__(self, handle: Callable[[_Entry], object]) -> None:
        """Handle each entry by ``handle``, which does not wait and adds no entries."""
        self.lock = threading.Lock()
        self._room = threading.Condition(self.lock)
        self._entries: deque[_Entry] = deque()
        self._handle = handle
        self._busy = False

    def make_room(self) -> None:
        """Wait until there is room for an entry. Called with the lock, before `add`."""
        while self._busy and len(self._entries) >= BACKLOG:
            self._room.wait()

    def add(self, entry: _Entry) -> bool:
        """Add an entry as the last, with the lock held; whether the caller is to `run`."""
        self._entries.append(entry)
        if self._busy:
            return False
        self._busy = True
        return True

    def run(self) -> None:
        """Handle what waits. Called without the lock, if `add` said so."""
        # 1. This thread finds the queue empty, and gives up its task under the same lock.
        # 2. Another thread adds an entry: before 1, and this thread sees it; or after 1, and the
        #    other thread finds the task free.
        try:
            while (entry := self._next()) is not None:
                self._handle(entry)
        except BaseException:
            # The entries behind the one that failed are handled by the next thread that adds one.
            with self.lock:
                self._busy = False
                self._room.notify_all()
            raise

    def _next(self) -> _Entry | None:
        with self.lock:
            if not self._entries:
                self._busy = False
                return None
            self._room.notify()
            return self._entries.popleft()

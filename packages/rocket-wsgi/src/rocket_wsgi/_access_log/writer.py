"""The thread that writes the access log, so that no other waits for a disk or a pipe."""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_wsgi._environ.request_record import RequestRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_wsgi._access_log.sink import Target

_log = logging.getLogger("rocket_wsgi.access_log")

_BATCH: Final = 512
"""Lines written at once."""

_PAUSE: Final = 0.02
"""Seconds for which lines gather after some were written: a thread woken for each would cost more
than writing it."""

_WARNING_PAUSE: Final = 60.0
"""Seconds between two warnings of lost lines."""


_EXIT_PATIENCE: Final = 5.0
"""Seconds that the target is given at the end of the process."""


class _Order(Enum):
    REOPEN = "reopen"
    END = "end"


class _Losses:
    """Counts lines that were lost, and warns of them once a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Guards the two below."""
        self._count = 0
        self._warn_after = 0.0

    def add(self, count: int, reason: str) -> None:
        """``count`` lines were lost."""
        with self._lock:
            self._count += count
            now = time.monotonic()
            if now < self._warn_after:
                return
            self._warn_after = now + _WARNING_PAUSE
        # By a thread of its own: what blocks the access log may block other logs too.
        thread = threading.Thread(
            target=self.report, args=(reason,), name="rocket-access-log-lost", daemon=True
        )
        with suppress(RuntimeError):  # no thread to be had; the next warning will count these, too
            thread.start()

    def report(self, reason: str) -> None:
        """Warn of what was lost since the last warning."""
        with self._lock:
            count, self._count = self._count, 0
        if count:
            _log.warning("%d lines of the access log were lost: %s", count, reason)


class Writer:
    """A bounded queue of entries, and the thread that writes them.

    The thread begins with the first entry, so that a process may fork before.
    """

    def __init__(
        self, target: Target, line: Callable[[RequestRecord], str], max_queue: int
    ) -> None:
        self._target = target
        self._line = line
        self._max_queue = max_queue
        self._queue: queue.SimpleQueue[RequestRecord | threading.Event | _Order] = (
            queue.SimpleQueue()
        )
        self._hurry = threading.Event()
        self._losses = _Losses()
        self._lock = threading.Lock()
        """Guards starting and ending."""
        self._running = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, entry: RequestRecord) -> None:
        """Have ``entry`` written. Never waits; where too many wait already, it is lost."""
        if self._queue.qsize() >= self._max_queue:
            self._losses.add(1, "its target takes them too slowly, or not at all")
            return
        self._queue.put(entry)
        if not self._running:
            self._start()

    def reopen(self) -> None:
        """Reopen the target behind what is queued. Safe in a signal handler."""
        self._queue.put(_Order.REOPEN)

    def flush(self, timeout: float | None) -> bool:
        """Wait until what is queued is written, up to ``timeout`` seconds; whether it is."""
        if not self._running:
            return True
        written = threading.Event()
        self._queue.put(written)
        self._hurry.set()
        return written.wait(timeout)

    def close(self, timeout: float | None) -> None:
        """Write what is queued, for up to ``timeout`` seconds, and close the target."""
        if not self._running and self._queue.qsize():
            self._start()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
        reason = "its target did not take them before the end"
        if thread is None:
            self._losses.report(reason)
            self._target.close()
            return
        atexit.unregister(self.close)
        self._queue.put(_Order.END)
        self._hurry.set()
        thread.join(timeout)
        if thread.is_alive():
            self._losses.add(self._queue.qsize() - 1, reason)  # the order to end is one of them
        self._losses.report(reason)

    def _start(self) -> None:
        with self._lock:
            if self._running or self._closed:
                return
            thread = threading.Thread(target=self._run, name="rocket-access-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # no thread to be had; the next entry tries again
            self._thread = thread
            self._running = True
            atexit.register(self.close, _EXIT_PATIENCE)

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        lines: list[str] = []
        while True:
            try:
                item = self._queue.get(block=not lines)
            except queue.Empty:
                self._write(lines)
                self._hurry.wait(_PAUSE)
                continue
            if isinstance(item, RequestRecord):
                lines.append(self._line(item))
                if len(lines) == _BATCH:
                    self._write(lines)
                continue
            self._write(lines)
            if item is _Order.END:
                self._target.close()
                return
            if isinstance(item, threading.Event):
                self._hurry.clear()
                item.set()
            else:
                self._reopen()

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        try:
            self._target.write(lines)
        except (OSError, ValueError) as error:
            self._losses.add(len(lines), str(error))
        lines.clear()

    def _reopen(self) -> None:
        try:
            self._target.reopen()
        except OSError as error:
            _log.error("the access log stays in its old file: %s", error)

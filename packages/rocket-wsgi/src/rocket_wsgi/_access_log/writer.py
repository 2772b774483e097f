"""The thread that writes the access log, so that no other thread waits for a disk or a pipe.

Theory of operation. The threads that serve requests put records into a queue and go on; they
neither wait nor format a line. One thread takes the records from the queue, formats them, and
writes many lines with one call of the sink. It starts with the first record, so that a process may
fork before that. ``_lock`` guards the start and the end of the thread, that is ``_running``,
``_closed`` and ``_thread``.

The bound of the queue is not exact: each thread reads the size before it appends its record, so the
queue can exceed its bound by one record per thread.

Orders pass through the same queue as the records, so that they take effect in order: `REOPEN` after
the records that were put before it, an event (`Writer.flush`) when these are written, and `END`
last. ``_hurry`` ends the pause in which lines gather, when a thread waits for an event or for the
end.
"""

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

    from rocket_wsgi._access_log.sink import Sink

_log = logging.getLogger("rocket_wsgi.access_log")

_BATCH: Final = 512
"""The maximum number of lines in one call of the sink."""

_PAUSE: Final = 0.02
"""Seconds for which lines gather after a call of the sink.

Waking the thread for each line would cost more than writing it.
"""

_WARNING_PAUSE: Final = 60.0
"""Seconds between two warnings about lost lines."""

_EXIT_PATIENCE: Final = 5.0
"""Seconds for which the end of the process waits for the sink."""


class _Order(Enum):
    REOPEN = "reopen"
    END = "end"


class _LostLines:
    """Counts the lost lines, and logs a warning with their number once a minute.

    ``_lock`` guards ``total``, ``_count`` and ``_warn_after``.

    Attributes:
        total: how many lines have been lost so far.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = 0
        self._count = 0
        self._warn_after = 0.0

    def add(self, count: int, reason: str) -> None:
        """Count ``count`` more lost lines."""
        with self._lock:
            self.total += count
            self._count += count
            now = time.monotonic()
            if now < self._warn_after:
                return
            self._warn_after = now + _WARNING_PAUSE
        # In a separate thread, because a disk or pipe that blocks the access log may block the
        # handler of this warning, too.
        thread = threading.Thread(
            target=self.report, args=(reason,), name="rocket-access-log-lost", daemon=True
        )
        with suppress(RuntimeError):  # no thread can start; the next warning includes these lines
            thread.start()

    def report(self, reason: str) -> None:
        """Log a warning about the lines that were lost since the last one."""
        with self._lock:
            count, self._count = self._count, 0
        if count:
            _log.warning("%d lines of the access log were lost: %s", count, reason)


class Writer:
    """A bounded queue of records, and the thread that writes them.

    Any thread may call any method; only `flush` and `close` wait.
    """

    def __init__(self, sink: Sink, line: Callable[[RequestRecord], str], max_queue: int) -> None:
        """Write to ``sink`` what ``line`` makes of a record, and queue up to ``max_queue`` records.

        The writer's thread alone calls ``line`` and uses ``sink``.
        """
        self._sink = sink
        self._line = line
        self._max_queue = max_queue
        self._queue: queue.SimpleQueue[RequestRecord | threading.Event | _Order] = (
            queue.SimpleQueue()
        )
        self._hurry = threading.Event()
        self._lost = _LostLines()
        self._lock = threading.Lock()
        self._running = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def lost(self) -> int:
        """The number of lines that were lost so far."""
        return self._lost.total

    def put(self, record: RequestRecord) -> None:
        """Queue ``record``, or drop it if the queue is full. Never waits."""
        if self._queue.qsize() >= self._max_queue:
            self._lost.add(1, "its file, stream or logger accepts lines too slowly, or not at all")
            return
        self._queue.put(record)
        if not self._running:
            self._start()

    def reopen(self) -> None:
        """Reopen the sink after the queued records. Safe in a signal handler."""
        self._queue.put(_Order.REOPEN)

    def flush(self, timeout: float | None) -> bool:
        """Wait up to ``timeout`` seconds until the queued records are written.

        Returns whether they are.
        """
        if not self._running:
            return True
        written = threading.Event()
        self._queue.put(written)
        self._hurry.set()
        return written.wait(timeout)

    def close(self, timeout: float | None) -> None:
        """Write the queued records, for up to ``timeout`` seconds, and close the sink."""
        if not self._running and self._queue.qsize():
            self._start()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
        reason = "its file, stream or logger did not accept them before the end"
        if thread is None:
            self._lost.report(reason)
            self._sink.close()
            return
        atexit.unregister(self.close)
        self._queue.put(_Order.END)
        self._hurry.set()
        thread.join(timeout)
        if thread.is_alive():
            self._lost.add(self._queue.qsize() - 1, reason)  # END is in the queue as well
        self._lost.report(reason)

    def _start(self) -> None:
        """Start the thread, unless it runs or the writer is closed.

        1. Threads A and B each put the first record, and see ``_running`` false.
        2. A takes the lock and starts the thread.
        3. B takes the lock, sees ``_running`` true, and returns. Its record is in the queue, which
           the thread reads.

        1. Thread A puts a record, and sees ``_running`` false.
        2. B closes the writer: ``_closed`` is true, and no thread was started.
        3. A takes the lock, sees ``_closed``, and returns. Its record is never written, as if it
           had come after the end.
        """
        with self._lock:
            if self._running or self._closed:
                return
            thread = threading.Thread(target=self._run, name="rocket-access-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # no thread can start; the next record tries again
            self._thread = thread
            self._running = True
            atexit.register(self.close, _EXIT_PATIENCE)

    # -- the writer's thread ---------------------------------------------------------------------

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
                self._sink.close()
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
            self._sink.write(lines)
        except (OSError, ValueError) as error:
            self._lost.add(len(lines), str(error))
        lines.clear()

    def _reopen(self) -> None:
        try:
            self._sink.reopen()
        except OSError as error:
            _log.error("the access log stays in its old file: cannot reopen it: %s", error)

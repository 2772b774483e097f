"""A lane of its own for the few requests that must be served while all workers are busy."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from rocket_core._connection import Connection
from rocket_core._phases import Phases
from rocket_core._statistics import Tally
from rocket_core._worker import Worker

_log = logging.getLogger("rocket_core.pool")


class Reserve:
    """One thread beside the pool, started when it is first needed. `submit` is for one thread."""

    def __init__(
        self,
        phases: Phases,
        factory: Callable[[], Worker],
        tally: Tally,
        pass_on: Callable[[Connection], None],
    ) -> None:
        """``pass_on`` takes a READY connection whose next request does not belong here."""
        self._pass_on = pass_on
        self._phases = phases
        self._factory = factory
        self._tally = tally
        self._queue: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, connection: Connection) -> bool:
        """Have a READY connection served; False when there is no thread for it."""
        if self._thread is None and not self._start():
            return False
        self._queue.put(connection)
        return True

    def _start(self) -> bool:
        try:
            worker = self._factory()
            thread = threading.Thread(
                target=self._run, args=(worker,), name="rocket-reserve", daemon=True
            )
            thread.start()
        except Exception:  # noqa: BLE001 - of the protocol's making, or the system's
            _log.exception("cannot open the reserved lane")
            return False
        self._thread = thread
        return True

    def stop(self) -> None:
        """Have the thread end after what it is doing."""
        self._queue.put(None)

    def join(self, timeout: float) -> list[str]:
        """Wait up to ``timeout`` seconds; the name of the thread if it has not ended."""
        if self._thread is None:
            return []
        self._thread.join(timeout)
        return [self._thread.name] if self._thread.is_alive() else []

    def abandoned(self) -> list[Connection]:
        """What nobody will serve any more; the caller owns it now."""
        found = []
        with suppress(queue.Empty):
            while True:
                connection = self._queue.get_nowait()
                if connection is not None:
                    found.append(connection)
        self._queue.put(None)  # the thread may not have seen it yet
        return found

    def _run(self, worker: Worker) -> None:
        counters = self._tally.open()
        try:
            while (connection := self._queue.get()) is not None:
                connection.queue_time = max(time.monotonic() - connection.claimed_at, 0.0)
                # What follows a request on its connection need not be as urgent.
                if not self._phases.serve(connection, worker, counters, share=1):
                    continue
                connection.claimed_at = time.monotonic()
                urgent = self._phases.is_urgent(connection, worker, counters)
                if urgent:
                    self._queue.put(connection)
                elif urgent is not None:
                    self._pass_on(connection)
        finally:
            self._tally.close(counters)

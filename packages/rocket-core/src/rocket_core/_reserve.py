"""A lane of its own for the few requests that must be served while all workers are busy."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from rocket_core._connection import Connection
from rocket_core._phases import Phases
from rocket_core._statistics import Tally
from rocket_core._worker import Worker

_log = logging.getLogger("rocket_core.pool")


class Reserve:
    """One thread beside the pool, started when it is first needed. `submit` is for one thread."""

    def __init__(self, phases: Phases, factory: Callable[[], Worker], tally: Tally) -> None:
        self._phases = phases
        self._factory = factory
        self._tally = tally
        self._queue: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, connection: Connection) -> None:
        """Have a READY connection served."""
        self._queue.put(connection)
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="rocket-reserve", daemon=True)
            thread.start()
            self._thread = thread

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
        while not self._queue.empty():
            connection = self._queue.get()
            if connection is not None:
                found.append(connection)
        return found

    def _run(self) -> None:
        counters = self._tally.open()
        try:
            worker = self._factory()
            while (connection := self._queue.get()) is not None:
                if self._phases.serve(connection, worker, counters):
                    self._queue.put(connection)
        except BaseException:  # noqa: BLE001 - whatever it is, it must be seen
            _log.exception("the reserved lane is closed")
        finally:
            self._tally.close(counters)

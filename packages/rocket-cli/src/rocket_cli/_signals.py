"""Ending a server by signals."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from rocket_core import Server

DRAIN_TIME: Final = 30.0
"""Seconds that requests in flight are given to finish."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_log = logging.getLogger("rocket_cli")

Events = queue.SimpleQueue[signal.Signals | None]
"""Signals that came; None: the server has ended."""


@contextmanager
def caught_signals() -> Iterator[Events]:
    """Catch SIGINT and SIGTERM: they are put into the queue, and nothing else is done.

    To be used on the main thread. At the end they do again what they did before.
    """
    events: Events = queue.SimpleQueue()

    def catch(number: int, _frame: FrameType | None) -> None:
        events.put(signal.Signals(number))

    before = [(number, signal.signal(number, catch)) for number in _SIGNALS]
    try:
        yield events
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def wait_for_end(server: Server, events: Events) -> None:
    """Return when ``server`` has ended: the first signal drains it, the second stops it."""

    def watch() -> None:
        server.wait()
        events.put(None)

    threading.Thread(target=watch, name="rocket-end", daemon=True).start()
    if event := events.get():
        _log.info(
            "%s: requests in flight have %d seconds to finish; a second signal stops at once",
            event.name,
            DRAIN_TIME,
        )
        server.drain(DRAIN_TIME)
        if event := events.get():
            _log.info("%s: stopping at once", event.name)
            server.stop()
            while events.get():
                pass
    _log.info("stopped")

"""The end of a process, for which threads of the application may hold on."""

from __future__ import annotations

import logging
import os
import threading
from time import monotonic, sleep
from typing import Final

_log = logging.getLogger("rocket_cli")

_TACT: Final = 0.5
"""Seconds for threads that end as soon as the interpreter exits, such as those of an executor."""

_LEAST: Final = 1.0
"""Seconds that threads have at least."""


class Leaving:
    """Watches over the exit of this process, which waits for threads that are not daemons.

    It relies on nothing that the application may patch while it serves.
    """

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._until = 0.0
        self._code = 0
        self._thread = threading.Thread(target=self._watch, name="rocket-leaving", daemon=True)

    def start(self) -> None:
        """Start the thread that watches."""
        self._thread.start()

    def expect(self, seconds: float) -> None:
        """The process is to have ended in so many seconds. The earliest end counts."""
        until = monotonic() + seconds
        self._until = min(self._until, until) if self._until else until

    def begin(self, code: int) -> None:
        """The process has nothing more to do, and exits with ``code``."""
        self._code = code
        self._begun.set()

    def _watch(self) -> None:
        self._begun.wait()
        sleep(_TACT)
        left = max(self._until - monotonic(), _LEAST - _TACT)
        _log.warning(
            "the process cannot end: %s; it has %.0f s, then the process ends without it",
            describe_threads(),
            left,
        )
        sleep(left)
        _log.warning("the process ends without waiting any longer: %s", describe_threads())
        os._exit(self._code)


def describe_threads() -> str:
    """The threads of the application that keep this process from ending, in words."""
    main = threading.main_thread()
    names = [each.name for each in threading.enumerate() if not each.daemon and each is not main]
    if not names:
        return "a function of the application that runs at exit still runs"
    threads = ", ".join(repr(each) for each in names)
    if len(names) == 1:
        return f"the application's thread {threads}, which is not a daemon, still runs"
    return f"the application's threads {threads}, which are not daemons, still run"

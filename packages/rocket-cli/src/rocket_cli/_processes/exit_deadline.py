"""The deadline for the exit of a process, which threads of the application may delay."""

from __future__ import annotations

import logging
import os
import threading
from time import monotonic, sleep
from typing import Final

_log = logging.getLogger("rocket_cli")

_SILENT: Final = 0.5
"""Seconds without a message, for threads that end when the interpreter exits, such as those of an
executor."""

_MINIMUM: Final = 1.0
"""Seconds that the threads have in any case."""


class ExitDeadline:
    """Ends this process if threads of the application delay its exit for too long.

    The interpreter waits at exit for all threads that are not daemons. This class uses only names
    that were bound before the application was imported, which may have patched their modules.
    """

    def __init__(self) -> None:
        """Prepare the thread; it is a daemon, so it delays nothing itself."""
        self._begun = threading.Event()
        self._until = 0.0
        self._code = 0
        self._thread = threading.Thread(target=self._watch, name="rocket-exit", daemon=True)

    def start(self) -> None:
        """Start the thread, which does nothing until `begin`."""
        self._thread.start()

    def expect(self, seconds: float) -> None:
        """Note that the process must have ended in so many seconds. The earliest end counts."""
        until = monotonic() + seconds
        self._until = min(self._until, until) if self._until else until

    def begin(self, code: int) -> None:
        """Note that the process has nothing more to do, and is about to exit with ``code``."""
        self._code = code
        self._begun.set()

    def _watch(self) -> None:
        self._begun.wait()
        sleep(_SILENT)
        left = max(self._until - monotonic(), _MINIMUM - _SILENT)
        _log.warning(
            "the process cannot exit: %s; it will be ended in %.0f seconds",
            describe_threads(),
            left,
        )
        sleep(left)
        _log.warning("the process ends without waiting any longer: %s", describe_threads())
        os._exit(self._code)


def describe_threads() -> str:
    """Return a clause that names the threads of the application that delay the exit."""
    main = threading.main_thread()
    names = [each.name for each in threading.enumerate() if not each.daemon and each is not main]
    if not names:
        return "a function that the application registered with atexit still runs"
    threads = ", ".join(repr(each) for each in names)
    if len(names) == 1:
        return f"the application's thread {threads}, which is not a daemon, still runs"
    return f"the application's threads {threads}, which are not daemons, still run"

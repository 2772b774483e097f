"""A log of messages that clients can provoke, and that must not fill the log."""

from __future__ import annotations

import logging
import threading
import time
from math import inf
from typing import Final

PAUSE: Final = 60.0
"""The least number of seconds between two messages."""


class RareLog:
    """Logs one message a minute, with the number of messages left out, and the others at DEBUG.

    ``_lock`` guards the time of the last message and the number of messages left out since. Of
    threads that log at once, the first to take the lock logs; the others count as left out. The
    logging itself happens outside the lock.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._last = -inf
        self._left_out = 0

    def warning(self, message: str, *args: object) -> None:
        """Log ``message % args``. Any thread may call this."""
        self._log(logging.WARNING, message, args)

    def error(
        self, message: str, *args: object, exc_info: BaseException | bool | None = None
    ) -> None:
        """Log ``message % args``, and the traceback of ``exc_info``. Any thread may call this."""
        self._log(logging.ERROR, message, args, exc_info)

    def _log(
        self,
        level: int,
        message: str,
        args: tuple[object, ...],
        exc_info: BaseException | bool | None = None,
    ) -> None:
        with self._lock:
            now = time.monotonic()
            rare = now - self._last >= PAUSE
            left_out = self._left_out
            if rare:
                self._last, self._left_out = now, 0
            else:
                self._left_out += 1
        if not rare:
            level = logging.DEBUG
        elif left_out:
            message, args = f"{message} (messages like this left out before: %d)", (*args, left_out)
        self._logger.log(level, message, *args, exc_info=exc_info)

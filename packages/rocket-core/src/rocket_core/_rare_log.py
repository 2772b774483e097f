"""Warnings that strangers can provoke, and that must not fill the log."""

from __future__ import annotations

import logging
import threading
import time
from math import inf
from typing import Final

_PAUSE: Final = 60.0
"""Seconds from one warning to the next."""


class RareLog:
    """Logs one warning a minute, with the number of those left out; all the others at DEBUG.

    ``_lock`` guards the time of the last warning and the number left out since.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._last = -inf
        self._left_out = 0

    def warning(self, message: str, *args: object) -> None:
        """Log ``message % args``. Any thread may call this."""
        with self._lock:
            now = time.monotonic()
            rare = now - self._last >= _PAUSE
            left_out = self._left_out
            if rare:
                self._last, self._left_out = now, 0
            else:
                self._left_out += 1
        if not rare:
            self._logger.debug(message, *args)
            return
        self._logger.warning(message, *args)
        if left_out:
            self._logger.warning("%d such warnings were left out before", left_out)

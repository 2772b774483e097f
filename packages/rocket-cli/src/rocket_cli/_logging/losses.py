"""Messages that could not be written."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from math import inf
from typing import Final

_PAUSE: Final = 60.0
"""Seconds from one line on standard error to the next."""


class Losses:
    """Counts what a log loses, and says so as soon as the log can be written again.

    Used with the lock of its handler.
    """

    def __init__(self, path: str) -> None:
        """``path`` is that of the log, ``-`` for standard error."""
        self._path = path
        self._count = 0
        self._reason = ""
        self._said = -inf

    def add(self, error: Exception) -> None:
        """A message is lost because of ``error``.

        Standard error, where it is not the log itself, gets one line a minute.
        """
        self._count += 1
        self._reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        now = time.monotonic()
        if self._path == "-" or now - self._said < _PAUSE:
            return
        self._said = now
        line = f"rocket-cli: cannot write the log {self._path}: {self._reason}\n"
        with suppress(OSError, ValueError):
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line.encode())

    def take(self) -> logging.LogRecord | None:
        """What to say of the messages lost since the last call; None: there are none."""
        if not self._count:
            return None
        args = self._count, self._reason
        self._count = 0
        text = "%d messages of this log were lost: %s"
        return logging.LogRecord("rocket_cli", logging.WARNING, __file__, 0, text, args, None)

"""Counting the messages that could not be written to the log."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from math import inf
from typing import Final

_PAUSE: Final = 60.0
"""Seconds between two lines on standard error."""


class LostMessages:
    """Counts the messages that a log loses, to report them once the log can be written again.

    The caller holds the lock of the log's handler.

    Attributes:
        total: how many messages have been lost so far.
    """

    def __init__(self, path: str) -> None:
        """Count for the log at ``path``; ``-`` is standard error."""
        self._path = path
        self._count = 0
        self._reason = ""
        self._said = -inf
        self.total = 0

    def add(self, error: Exception) -> None:
        """Count a message that was lost because of ``error``.

        Unless standard error is the log itself, it gets one line a minute.
        """
        self._count += 1
        self.total += 1
        self._reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        now = time.monotonic()
        if self._path == "-" or now - self._said < _PAUSE:
            return
        self._said = now
        line = f"rocket-cli: cannot write to the log {self._path}: {self._reason}\n"
        with suppress(OSError, ValueError):
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line.encode())

    def take(self) -> logging.LogRecord | None:
        """Return a record of the messages lost since the last call; None if none were lost."""
        if not self._count:
            return None
        args = self._count, self._reason
        self._count = 0
        text = "%d messages could not be written to this log and are lost: %s"
        return logging.LogRecord("rocket_cli", logging.WARNING, __file__, 0, text, args, None)

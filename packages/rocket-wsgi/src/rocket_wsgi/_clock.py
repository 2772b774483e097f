"""Dates, and the fields every response gets, made once a second (RFC 9110, section 6.6.1)."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Final

from rocket_wsgi._version import __version__

SERVER: Final = f"Rocket/{__version__}"

SERVER_LINE: Final = f"Server: {SERVER}\r\n".encode()

MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
"""Their names in dates, whatever the language of the system."""


class Clock:
    """Formats the present second; each thread has one of its own."""

    __slots__ = ("_second", "date", "fields")

    def __init__(self) -> None:
        self._second = -1.0
        self.date = b""
        """A line with the ``Date`` field."""
        self.fields = b""
        """Lines with the ``Date`` and ``Server`` fields."""

    def update(self) -> None:
        """Bring the lines up to date."""
        now = time.time()
        if not 0 <= now - self._second < 1:  # clocks are set back, too
            self._second = second = now // 1
            self.date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
            self.fields = self.date + SERVER_LINE

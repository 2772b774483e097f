"""The ``Date`` field, made once a second (RFC 9110, section 6.6.1)."""

from __future__ import annotations

import time
from email.utils import formatdate


class Clock:
    """Formats the present second; each thread has one of its own."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def date(self) -> str:
        """The value of a ``Date`` field."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True)
        return self._text

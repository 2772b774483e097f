"""The fields ``Date`` and ``Server``, formatted once a second (RFC 9110, 6.6.1 and 10.2.4)."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Final

from rocket_wsgi._version import __version__

SERVER: Final = f"Rocket/{__version__}"
"""The name of the server in responses and in ``SERVER_SOFTWARE``."""

MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
"""The English names of the months in dates, independent of the locale; three letters each."""


class Clock:
    """Keeps the header fields of the present second. Each thread has its own clock."""

    __slots__ = ("_second", "date", "fields", "server", "server_line")

    def __init__(self, server: str = SERVER) -> None:
        """Keep the fields of a server that calls itself ``server``; empty: it sends no name."""
        self.server: Final = server
        self.server_line: Final = f"Server: {server}\r\n".encode() if server else b""
        """The field line of ``Server``."""
        self._second = -1.0
        self.date = b""
        """The field line of ``Date``."""
        self.fields = b""
        """The field lines of ``Date`` and ``Server``."""

    def update(self) -> None:
        """Format the fields again if the second has changed since the last call."""
        now = time.time()
        if not 0 <= now - self._second < 1:  # not "now >= ...": the system's clock may be set back
            self._second = second = now // 1
            self.date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
            self.fields = self.date + self.server_line

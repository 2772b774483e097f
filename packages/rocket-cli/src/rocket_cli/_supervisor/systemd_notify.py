"""Telling systemd how the service is (sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

from rocket_cli._logging.formatting import printable

_LONGEST: Final = 1000
"""Characters of a value: more than a status line shows."""

_log = logging.getLogger("rocket_cli")


class Notifier:
    """Sends notifications, if the variable NOTIFY_SOCKET asks for them.

    Attributes:
        watchdog: seconds between two signs of life, half of what systemd waits for; None: none is
            asked for.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Take the variables away, so that the application does not speak in the same name."""
        self._path = environ.pop("NOTIFY_SOCKET", "")
        period = environ.pop("WATCHDOG_USEC", "")
        process = environ.pop("WATCHDOG_PID", "")
        meant = not process or process == str(os.getpid())
        self.watchdog = int(period) / 2e6 if self._path and period.isdigit() and meant else None

    def send(self, **fields: str | int) -> None:
        """Send ``NAME=value`` for each field."""
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        text = "\n".join(f"{name}={_one_line(value)}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(text.encode(), address)
        except OSError as error:
            _log.warning("systemd cannot be notified at %s: %s", self._path, error.strerror)
            self._path = ""

    def reloading(self) -> None:
        """A reload begins; ``READY=1`` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.send(RELOADING=1, MONOTONIC_USEC=now, STATUS="reloading")


def _one_line(value: str | int) -> str:
    """``value`` as one field: a process may have said it, and may not add fields of its own."""
    return printable(str(value)).replace("\n", " ")[:_LONGEST]

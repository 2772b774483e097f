"""Notifications to systemd about the state of the service (sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

from rocket_cli._logging.formatting import printable

_MAX_LENGTH: Final = 1000
"""Characters of a value that are sent: more than a status line shows."""

_log = logging.getLogger("rocket_cli")


class Notifier:
    """Sends notifications if the variable NOTIFY_SOCKET asks for them.

    Attributes:
        watchdog: the seconds between two signs of life, half the time that systemd waits for one;
            None if systemd expects none.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Remove the variables, so that the application does not notify in the name of Rocket."""
        self._path = environ.pop("NOTIFY_SOCKET", "")
        period = environ.pop("WATCHDOG_USEC", "")
        process = environ.pop("WATCHDOG_PID", "")
        meant = not process or process == str(os.getpid())
        self.watchdog = int(period) / 2e6 if self._path and period.isdigit() and meant else None

    def send(self, **fields: str | int) -> None:
        """Send ``NAME=value`` for each field, in one notification."""
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        text = "\n".join(f"{name}={_one_line(value)}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(text.encode(), address)
        except OSError as error:
            _log.warning(
                "cannot notify systemd at %s, not trying again: %s", self._path, error.strerror
            )
            self._path = ""

    def reloading(self) -> None:
        """Report that a reload begins; ``READY=1`` reports its end."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.send(RELOADING=1, MONOTONIC_USEC=now, STATUS="reloading")


def _one_line(value: str | int) -> str:
    """Return ``value`` on one line: text from a process must not add fields of its own."""
    return printable(str(value)).replace("\n", " ")[:_MAX_LENGTH]

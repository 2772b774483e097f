"""The bytes that have arrived for a socket and are not yet read."""

from __future__ import annotations

import sys
from typing import Final

from rocket_core._system.poller import READ
from rocket_core._system.wait_ready import wait_ready

if sys.platform != "win32":
    import fcntl
    import termios

_NOTHING: Final = bytes(4)


def has_arrived(descriptor: int) -> bool:
    """Return whether something has arrived that reading would return, or reading would fail.

    The end of the stream does not count. To ask for the number of bytes takes a fifth of what a
    poll of one socket takes.
    """
    if sys.platform == "win32":
        return wait_ready(descriptor, READ, 0)
    if descriptor < 0:
        return True
    number = bytearray(_NOTHING)
    try:
        fcntl.ioctl(descriptor, termios.FIONREAD, number)
    except OSError:
        return True
    return number != _NOTHING

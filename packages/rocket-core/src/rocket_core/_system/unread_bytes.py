"""The bytes that have arrived for a socket and are not yet read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from rocket_core._system.poller import READ
from rocket_core._system.wait_ready import wait_ready

_TELLS: Final = sys.platform != "win32"
"""Whether the system tells the number of bytes."""

if sys.platform != "win32":
    from fcntl import ioctl as _ioctl
    from termios import FIONREAD

    # A look-up in a module costs as much as half of the call.
    _ask: Final[Callable[[int, int, bytearray], int]] = _ioctl
    _REQUEST: Final[int] = FIONREAD

_SIZE: Final = 4
_NOTHING: Final = bytes(_SIZE)


def has_arrived(descriptor: int) -> bool:
    """Return whether something has arrived that reading would return, or reading would fail.

    The end of the stream does not count. To ask for the number of bytes takes less than a poll of
    one socket.
    """
    if not _TELLS:  # pragma: no cover - Windows
        return wait_ready(descriptor, READ, 0)
    if descriptor < 0:
        return True
    number = bytearray(_SIZE)
    try:
        _ask(descriptor, _REQUEST, number)
    except OSError:
        return True
    return number != _NOTHING

"""What a socket has received and nobody has read."""

from __future__ import annotations

import fcntl
import termios
from typing import Final

_NOTHING: Final = bytes(4)


def waiting_in_system(descriptor: int) -> bool:
    """Whether anything waits to be read; so, too, where the system does not say."""
    try:
        return fcntl.ioctl(descriptor, termios.FIONREAD, _NOTHING) != _NOTHING
    except (OSError, ValueError):  # closed
        return True

"""The bytes that the system has accepted and the client has not acknowledged."""

from __future__ import annotations

import struct
import sys
from typing import Final

if sys.platform == "linux":
    import fcntl
    import termios

    _NUMBER: Final = struct.Struct("i")

    def unsent_in_system(descriptor: int) -> int:
        """The bytes in a socket's send queue (tcp(7), SIOCOUTQ), or 0 if they are not known."""
        try:
            answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(_NUMBER.size))
        except (OSError, ValueError):  # closed
            return 0
        return int(_NUMBER.unpack(answer)[0])

else:  # pragma: no cover - not Linux

    def unsent_in_system(descriptor: int) -> int:
        """0, because this platform does not tell."""
        del descriptor
        return 0

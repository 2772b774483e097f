"""What the system has accepted of a response and the client has not taken."""

from __future__ import annotations

import struct
import sys
from typing import Final

if sys.platform == "linux":
    import fcntl
    import termios

    _NUMBER: Final = struct.Struct("i")

    def unsent_in_system(descriptor: int) -> int:
        """Bytes in a socket's send queue (tcp(7), SIOCOUTQ); 0 where nobody knows."""
        try:
            answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(_NUMBER.size))
        except (OSError, ValueError):  # closed
            return 0
        return int(_NUMBER.unpack(answer)[0])

else:  # pragma: no cover - not Linux

    def unsent_in_system(descriptor: int) -> int:
        """Bytes in a socket's send queue; 0, because nobody knows."""
        del descriptor
        return 0

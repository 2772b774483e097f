"""A way to interrupt a thread that waits for descriptors."""

from __future__ import annotations

import socket


class Waker:
    """A socket pair whose `descriptor` becomes readable once `set` was called.

    `set` may be called from any thread and from a signal handler.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.descriptor = self._reader.fileno()
        self.writer = self._writer.fileno()
        """What to write to, for those who cannot call `set`."""

    def set(self) -> None:
        """Make the descriptor readable."""
        try:
            self._writer.send(b"\0")
        except OSError:
            return  # full: it is readable already; closed: nobody waits any more

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        try:
            self._reader.recv(4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Release both ends."""
        self._reader.close()
        self._writer.close()

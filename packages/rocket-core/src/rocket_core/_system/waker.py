"""An interruption for a thread that waits for descriptors.

The thread that wakes first changes what the other is to see, then calls `Waker.set`. The thread
that is woken first calls `Waker.clear`, then looks at what has changed. So no change is missed: 1.
Thread A changes something. 2. Thread B, woken for an earlier change, clears the waker. 3. A sets
it. Either B sees the change after 2, or the waker is readable when B waits again.
"""

from __future__ import annotations

import socket


class Waker:
    """A socket pair whose `descriptor` is readable from a call of `set` until the next `clear`.

    Any thread may call `set`, and so may a signal handler. It never waits: the sockets do not
    block.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.descriptor = self._reader.fileno()
        self.writer = self._writer.fileno()
        """The descriptor to write to instead of calling `set`, as `signal.set_wakeup_fd` does."""

    def set(self) -> None:
        """Make the descriptor readable."""
        try:
            self._writer.send(b"\0")
        except OSError:
            return  # full: it is readable already; closed: no thread waits any more

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        try:
            self._reader.recv(4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both sockets."""
        self._reader.close()
        self._writer.close()

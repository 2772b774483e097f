"""An interruption for a thread that waits for descriptors.

The thread that wakes first changes what the other is to see, then calls `Waker.set`. The thread
that is woken first calls `Waker.clear`, then looks at what has changed. So no change is missed: 1.
Thread A changes something. 2. Thread B, woken for an earlier change, clears the waker. 3. A sets
it. Either B sees the change after 2, or the waker is readable when B waits again.

`Waker.close` may meet `Waker.set` on another thread. If a descriptor is closed while a system call
is about to use it, the system may give its number to another file, which then gets the byte. So
`close` closes nothing itself: it drops its reference to the sockets, which close with the last one.
1. `set` takes a reference. 2. `close` drops its own. 3. `set` writes to a socket that is still
open, and returns. 4. The sockets close.
"""

from __future__ import annotations

import socket
from typing import Final, NamedTuple


class _Socket(socket.socket):
    """A socket that closes with the last reference to it, without a warning."""

    def __del__(self) -> None:
        self.close()


class _Ends(NamedTuple):
    reader: _Socket
    writer: _Socket


class Waker:
    """A socket pair whose `descriptor` is readable from a call of `set` until the next `clear`.

    Any thread may call `set`, also during or after `close`, and so may a signal handler. It never
    waits: the sockets do not block.
    """

    def __init__(self) -> None:
        ends = _Ends(*(_Socket(fileno=each.detach()) for each in socket.socketpair()))
        for each in ends:
            each.setblocking(False)
        self._ends: _Ends | None = ends
        self.descriptor: Final = ends.reader.fileno()
        self.writer: Final = ends.writer.fileno()
        """The descriptor to write to instead of calling `set`, as `signal.set_wakeup_fd` does."""

    def set(self) -> None:
        """Make the descriptor readable."""
        ends = self._ends
        if ends is None:
            return  # no thread waits any more
        try:
            ends.writer.send(b"\0")
        except OSError:
            return  # full: it is readable already

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        ends = self._ends
        if ends is None:
            return
        try:
            ends.reader.recv(4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both sockets, or have the last thread close them that is still in `set`."""
        self._ends = None

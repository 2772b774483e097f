"""The memory from which OpenSSL receives, and to which it sends.

Theory of operation: a buffer of OpenSSL keeps the most memory that it has ever needed. After an
upload that would be several times as much as everything else an idle connection has. So connections
do not own their buffers. There is a fixed number of `MemoryWire` objects. The descriptor of a
connection selects its wire, and other connections use the same wire at other times.

The bytes of one client must never reach another one, so the rule is strict: a thread touches a wire
only while it holds the wire's lock, and when it releases the lock both buffers are empty. What
OpenSSL has made goes into the connection's own backlog before that, and what OpenSSL has not read
is dropped: it leaves nothing but what follows an error, or the end of the stream. An exception such
as `MemoryError` may have kept a thread from that; therefore the next one first clears buffers that
are not empty.
"""

from __future__ import annotations

import ssl
import threading
from typing import Final

_WIRES: Final = 64
"""More than the threads that are likely to use OpenSSL at the same time."""

_DROP: Final = 256
"""Bytes that can be read into memory even where there is none for a whole record."""


class MemoryWire:
    """A pair of buffers between OpenSSL and the sockets, for many connections in turn.

    Attributes:
        incoming: what has arrived from the client and OpenSSL has not read yet.
        outgoing: what OpenSSL has made for the client.
        lock: guards both.
    """

    __slots__ = ("incoming", "lock", "outgoing")

    def __init__(self) -> None:
        self.incoming: Final = ssl.MemoryBIO()
        self.outgoing: Final = ssl.MemoryBIO()
        self.lock: Final = threading.Lock()

    def clear(self) -> None:
        """Drop what an interrupted thread has left. The caller holds the lock."""
        for memory in (self.incoming, self.outgoing):
            while memory.pending:
                memory.read(_DROP)


_wires: Final = [MemoryWire() for _ in range(_WIRES)]


def memory_wire_of(descriptor: int) -> MemoryWire:
    """Return the wire of a connection with this descriptor. Any thread may call this."""
    return _wires[descriptor % _WIRES]

"""The memory in which OpenSSL receives and sends."""

from __future__ import annotations

import ssl
import threading
from typing import Final

_WIRES: Final = 64
"""More than threads that are likely to use OpenSSL at the same time."""

_DROP: Final = 256
"""Bytes for which there is memory even where there is none for a whole record."""


class MemoryWire:
    """What OpenSSL receives from, and what it sends to, for many connections in turn.

    Memory that OpenSSL has once needed to receive or send it keeps: after an upload, several times
    as much as all else that an idle connection has. So connections share it. Whoever holds ``lock``
    uses it, and leaves nothing in it.

    Attributes:
        incoming: what has come from the client and OpenSSL has not read.
        outgoing: what OpenSSL has made for the client.
        lock: guards both.
    """

    __slots__ = ("incoming", "lock", "outgoing")

    def __init__(self) -> None:
        self.incoming: Final = ssl.MemoryBIO()
        self.outgoing: Final = ssl.MemoryBIO()
        self.lock: Final = threading.Lock()

    def clear(self) -> None:
        """With the lock: drop what somebody has left in it, however little memory there is."""
        for memory in (self.incoming, self.outgoing):
            while memory.pending:
                memory.read(_DROP)


_wires: Final = [MemoryWire() for _ in range(_WIRES)]


def memory_wire_of(descriptor: int) -> MemoryWire:
    """The wire of a connection. Any thread may call this."""
    return _wires[descriptor % _WIRES]

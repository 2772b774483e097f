"""A bound for the memory that all connections of a server hold together."""

from __future__ import annotations

import threading
from typing import Final

TOTAL_OUTPUT: Final = 64 * 1024 * 1024
"""Bytes held in memory at most for clients that do not take their responses, all together."""

TOTAL_INPUT: Final = 32 * 1024 * 1024
"""Bytes held in memory at most of large request bodies, all together."""

GRAIN: Final = 16 * 1024
"""Bytes of output for which every connection has room in any case, and which do not count.

The responses that the server makes itself are smaller, so clients that provoke them take no room
from other responses. Beyond these bytes the budget gives no smaller pieces, except for the end of a
response: a TLS record (RFC 8446, section 5.1), once offered to OpenSSL, must be offered again
whole."""


class Budget:
    """A number of bytes that many holders share.

    Any thread may call the methods. ``_lock`` guards the numbers of bytes that are held.

    Attributes:
        held: bytes that are held, with the bytes that do not count.
    """

    def __init__(self, limit: int = TOTAL_OUTPUT) -> None:
        """Allow ``limit`` bytes."""
        self._limit = limit
        self._lock = threading.Lock()
        self._counted = 0
        self.held = 0

    def take(self, wanted: int) -> int:
        """Take up to ``wanted`` bytes, which all count; return how many, at least `GRAIN`, or 0."""
        return self.take_for(GRAIN, wanted)

    def give_back(self, count: int) -> None:
        """Give back ``count`` bytes that `take` or `lend` has given."""
        self.give_back_for(GRAIN + count, count)

    def take_for(self, held: int, wanted: int, *, all_of_it: bool = False) -> int:
        """Take up to ``wanted`` bytes for a holder of ``held`` bytes; return how many, or 0.

        The first `GRAIN` bytes of a holder are given in any case and do not count. No fewer than
        `GRAIN` are given, unless fewer are wanted. ``all_of_it``: all are given, however much is
        held already.
        """
        sure = max(GRAIN - held, 0)
        with self._lock:
            room = wanted if all_of_it else sure + max(self._limit - self._counted, 0)
            if room < min(wanted, GRAIN):
                return 0
            taken = min(wanted, room)
            self.held += taken
            self._counted += max(taken - sure, 0)
            return taken

    def give_back_for(self, held: int, count: int) -> None:
        """Give back ``count`` of the ``held`` bytes that `take_for` has given to one holder."""
        counted = max(held - GRAIN, 0) - max(held - count - GRAIN, 0)
        with self._lock:
            self.held -= count
            self._counted -= counted

    def lend(self, count: int) -> bool:
        """Take ``count`` bytes, all or none; return whether they were taken.

        Half of the budget stays reserved for `take`. The bytes all count, and are given back with
        `give_back`.
        """
        with self._lock:
            if self._counted + count > self.lendable:
                return False
            self.held += count
            self._counted += count
            return True

    @property
    def lendable(self) -> int:
        """The number of bytes that `lend` gives at most, to all holders together."""
        return self._limit // 2

    @property
    def ample(self) -> bool:
        """Whether less than half is held, so that there is room for what a few threads add now."""
        return self._counted * 2 < self._limit

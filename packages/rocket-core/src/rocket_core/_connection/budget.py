"""How much all connections of a server may hold together."""

from __future__ import annotations

import threading
from typing import Final

TOTAL_OUTPUT: Final = 64 * 1024 * 1024
"""Bytes of all responses together, held for clients that do not take them."""

TOTAL_INPUT: Final = 32 * 1024 * 1024
"""Bytes held in memory of all large requests together."""

GRAIN: Final = 16 * 1024
"""Bytes of output that every connection is sure to have room for, and that do not count: what a
server says of its own is smaller, so that clients which provoke it take no room from responses.

Beyond that only the rest of a response is held in smaller pieces: a TLS record (RFC 8446, section
5.1) that was offered to OpenSSL must be offered again whole."""


class Budget:
    """Bytes that may be held. ``_lock`` guards the numbers of those that are.

    Attributes:
        held: bytes that are held, those that do not count included.
    """

    def __init__(self, limit: int = TOTAL_OUTPUT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._counted = 0
        self.held = 0

    def take(self, wanted: int) -> int:
        """Take up to ``wanted`` bytes, which all count: how many, no fewer than `GRAIN`, or 0."""
        return self.take_for(GRAIN, wanted)

    def give_back(self, count: int) -> None:
        """Give back ``count`` bytes that were taken with `take`."""
        self.give_back_for(GRAIN + count, count)

    def take_for(self, held: int, wanted: int, *, all_of_it: bool = False) -> int:
        """Take up to ``wanted`` bytes for a holder of ``held`` bytes: how many, or 0.

        What makes up its first `GRAIN` bytes is given in any case and does not count. No fewer than
        `GRAIN` are given, unless fewer are wanted. ``all_of_it``: everything is given, however much
        there is already.
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
        """Give back ``count`` bytes of the ``held`` that `take_for` has given to one holder."""
        counted = max(held - GRAIN, 0) - max(held - count - GRAIN, 0)
        with self._lock:
            self.held -= count
            self._counted -= counted

    def lend(self, count: int) -> bool:
        """Take ``count`` bytes, all or none, so that half of all is left for what `take` takes.

        They all count, and are given back with `give_back`.
        """
        with self._lock:
            if self._counted + count > self._limit // 2:
                return False
            self.held += count
            self._counted += count
            return True

    @property
    def ample(self) -> bool:
        """Whether less than half is held, so that what a few threads add now will find room."""
        return self._counted * 2 < self._limit

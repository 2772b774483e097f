"""How much all connections of a server may hold together."""

from __future__ import annotations

import threading
from typing import Final

TOTAL_OUTPUT: Final = 64 * 1024 * 1024
"""Bytes of all responses together, held for clients that do not take them."""

TOTAL_INPUT: Final = 32 * 1024 * 1024
"""Bytes held in memory of all large requests together."""

GRAIN: Final = 16 * 1024
"""Bytes below which only the rest of a response is held: a TLS record (RFC 8446, section 5.1) that
was offered to OpenSSL must be offered again whole."""


class Budget:
    """Bytes that may be held. ``_lock`` guards the number that is."""

    def __init__(self, limit: int = TOTAL_OUTPUT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self.held = 0

    def take(self, wanted: int, *, at_least: int = 0) -> int:
        """Take up to ``wanted`` bytes: how many, no fewer than `GRAIN` of them, or 0.

        ``at_least`` says how many are given in any case.
        """
        with self._lock:
            room = max(self._limit - self.held, at_least)
            if room < min(wanted, GRAIN):
                return 0
            taken = min(wanted, room)
            self.held += taken
            return taken

    def lend(self, count: int) -> bool:
        """Take ``count`` bytes, all or none, so that half of all is left for what `take` takes."""
        with self._lock:
            if self.held + count > self._limit // 2:
                return False
            self.held += count
            return True

    @property
    def ample(self) -> bool:
        """Whether less than half is held, so that what a few threads add now will find room."""
        return self.held * 2 < self._limit

    def give_back(self, count: int) -> None:
        """Give back ``count`` bytes that were taken."""
        with self._lock:
            self.held -= count

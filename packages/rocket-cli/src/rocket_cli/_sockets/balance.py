"""How many connections each process has, in memory that all of them share."""

from __future__ import annotations

import mmap
from typing import Final

PAUSE: Final = 0.001
"""Seconds for which a process that has more connections leaves new ones to others. If they do not
take them, it does."""

_PLACES: Final = 256
_ABSENT: Final = -1


class ConnectionCounts:
    """Made before the fork. Each process writes its own number only; that takes no lock.

    Numbers may be old: who has not accepted for a while has told no news. That decides only who
    goes first.
    """

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, _PLACES * 4)).cast("i")
        for index in range(_PLACES):
            self._numbers[index] = _ABSENT
        self._free = list(reversed(range(_PLACES)))

    def take(self) -> Slot:
        """A place for a process that is about to be forked."""
        return Slot(self._numbers, self._free.pop() if self._free else None)

    def give_back(self, place: Slot) -> None:
        """The process has ended."""
        place.leave()
        if place.index is not None:
            self._free.append(place.index)


class Slot:
    """Where a process writes its number; one too many has none, and goes first always."""

    def __init__(self, numbers: memoryview, index: int | None) -> None:
        self._numbers = numbers
        self.index = index

    def pause(self, connections: int) -> float:
        """With so many connections, for how many seconds others go first."""
        if self.index is None:
            return 0.0
        self._numbers[self.index] = connections
        present = [number for number in self._numbers.tolist() if number != _ABSENT]
        return PAUSE if connections > min(present) else 0.0

    def leave(self) -> None:
        """The process accepts nobody any more."""
        if self.index is not None:
            self._numbers[self.index] = _ABSENT

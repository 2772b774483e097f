"""The numbers of connections of all worker processes, in memory that they share.

Theory of operation. All workers wait for the same listening sockets, and the system wakes any of
them. So that connections do not pile up in one process, a process that has more of them than
another waits a moment before it accepts, and lets the others go first.

The memory is an array of numbers. Each process writes its own number only, before it accepts, and
reads all; there is no lock. A number that is read may be out of date:

1. Process A has 3 connections, and publishes 3. All of them end. A does not accept, so its number
   stays 3.
2. Process B has 2 connections and reads 3, so it accepts at once, although A should go first.
3. When A accepts next, it publishes its true number.

Only the order of accepting suffers, for a moment: every process accepts after its pause, whatever
the numbers say.
"""

from __future__ import annotations

import mmap
from typing import Final

PAUSE: Final = 0.001
"""Seconds for which a process with more connections leaves new ones to others. After that the
process accepts those that are still there."""

_SLOTS: Final = 256
_ABSENT: Final = -1
"""The number in a slot without a process that accepts."""


class ConnectionCounts:
    """The shared memory, and the slots in it. The supervisor makes it before the first fork."""

    def __init__(self) -> None:
        """Allocate the memory, with every slot free."""
        self._numbers = memoryview(mmap.mmap(-1, _SLOTS * 4)).cast("i")
        for index in range(_SLOTS):
            self._numbers[index] = _ABSENT
        self._free = list(reversed(range(_SLOTS)))

    def take(self) -> Slot:
        """Return a slot for a process that is about to be forked."""
        return Slot(self._numbers, self._free.pop() if self._free else None)

    def give_back(self, slot: Slot) -> None:
        """Free the slot of a process that has ended."""
        slot.leave()
        if slot.index is not None:
            self._free.append(slot.index)


class Slot:
    """The place where a process publishes the number of its connections.

    There are 256 slots. A process beyond that has none (``index`` is None), and never pauses.
    """

    def __init__(self, numbers: memoryview, index: int | None) -> None:
        """Use the number at ``index`` of the shared memory."""
        self._numbers = numbers
        self.index = index

    def pause(self, connections: int) -> float:
        """Publish that this process has so many ``connections``, and return the seconds to pause.

        In these seconds new connections are left to other processes.
        """
        if self.index is None:
            return 0.0
        self._numbers[self.index] = connections
        present = [number for number in self._numbers.tolist() if number != _ABSENT]
        return PAUSE if connections > min(present) else 0.0

    def leave(self) -> None:
        """Note that the process accepts no more connections, so that no other waits for it."""
        if self.index is not None:
            self._numbers[self.index] = _ABSENT

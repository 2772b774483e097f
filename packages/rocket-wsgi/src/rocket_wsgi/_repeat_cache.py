"""A cache of the results of pure functions that admits an argument when it comes again.

Theory of operation. The arguments are what clients send, and any client may send a new one with
every request. A cache that admits each argument at once would then hold nothing but arguments that
never come again. So the first time, only a number (the hash of the argument) is noted, and the
result is kept from the second time on. Both tables are bounded, and emptied when they are full:
this takes no bookkeeping for each use, and the usual arguments are back after two requests.

Many threads use one cache without a lock. Each step is one operation of a built-in dict or set,
which is atomic with and without the GIL. Between two steps another thread may do anything, with
these effects only:

1. Two threads note the same first occurrence: it counts once.
2. One thread empties a table after another thread has checked its size: the second thread inserts
   its entry into the empty table.
3. Several threads see room for one more entry, and each inserts one: a table exceeds its bound by
   the number of threads at most, until it is emptied.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, TypeVar

_Argument = TypeVar("_Argument", bound=Hashable)
_Result = TypeVar("_Result")

MEMORY: Final = 256
"""The maximum number of results in a cache."""

_SEEN: Final = 1024
"""The maximum number of arguments that are noted as having come once."""


class RepeatCache(dict[_Argument, _Result]):
    """Results by their arguments. Many threads may use one cache.

    The cache bounds the number of its entries, not their size: the caller does not offer arguments
    that are too large.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[int] = set()

    def offer(self, argument: _Argument, result: _Result) -> bool:
        """Keep ``result`` if ``argument`` was offered before. Return whether it is kept."""
        mark = hash(argument)
        seen = self._seen
        if mark not in seen:
            if len(seen) >= _SEEN:
                seen.clear()
            seen.add(mark)
            return False
        if len(self) >= MEMORY:
            self.clear()
        self[argument] = result
        return True

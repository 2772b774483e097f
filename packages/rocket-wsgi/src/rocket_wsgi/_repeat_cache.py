"""Results of pure functions, remembered for arguments that come again."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, TypeVar

_Argument = TypeVar("_Argument", bound=Hashable)
_Result = TypeVar("_Result")

MEMORY: Final = 256
"""Results that one memory holds, at most."""

_SEEN: Final = 1024
"""Arguments that are known to have come once, at most."""


class RepeatCache(dict[_Argument, _Result]):
    """Results by their arguments. Many threads may use it, since each step is atomic.

    An argument is remembered when it comes a second time. So ever-changing ones, which clients are
    free to send, leave no more than a number behind, and keep nothing useful out for long: what is
    full is emptied. How large an argument may be is for the caller to say.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[int] = set()

    def offer(self, argument: _Argument, result: _Result) -> bool:
        """Remember ``result`` if ``argument`` has come before; whether it is remembered."""
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

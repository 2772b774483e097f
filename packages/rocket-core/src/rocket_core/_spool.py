"""Bytes that arrive in pieces: kept in memory up to a bound, then in a temporary file."""

from __future__ import annotations

import tempfile
from io import BytesIO
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rocket_core._budget import Budget

MEMORY_BOUND: Final = 64 * 1024
"""Bytes that are kept in memory in any case."""

_SMALL: Final = 1024
"""Bytes of a piece that is joined to the piece before it: kept by itself, it takes some forty bytes
besides what it holds."""

BUDGETED_BOUND: Final = 1024 * 1024
"""Bytes that are kept in memory where the budget allows it; more go to a temporary file."""


class Spool:
    """A request body, for example. What it holds in all is bounded by whoever adds to it.

    Attributes:
        size: bytes added so far.
    """

    __slots__ = ("_budget", "_file", "_parts", "_taken", "size")

    def __init__(self, budget: Budget | None = None) -> None:
        """``budget`` is what many spools may hold together beyond what each holds in any case.

        None: no more than that.
        """
        self._parts: list[bytes | bytearray] = []
        self._file: IO[bytes] | None = None
        self._budget = budget
        self._taken = 0
        self.size = 0

    def add(self, data: bytes) -> None:
        """Append. Raises `OSError` when the disk is full."""
        self.size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        if self._parts and len(data) < _SMALL:
            self._join(data)
        else:
            self._parts.append(data)
        if self.size > MEMORY_BOUND and not self._may_hold():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the request
            self._file.writelines(self._parts)
            self._parts.clear()
            self._give_back()

    def _join(self, data: bytes) -> None:
        last = self._parts[-1]
        if isinstance(last, bytearray):
            last += data
        else:
            self._parts.append(bytearray(data))

    def _may_hold(self) -> bool:
        """Take from the budget what is held and not yet taken; whether it is enough."""
        if self._budget is None or self.size > BUDGETED_BOUND:
            return False
        self._taken += self._budget.take(self.size - self._taken)
        return self._taken == self.size

    def _give_back(self) -> None:
        if self._budget is not None and self._taken:
            self._budget.give_back(self._taken)
            self._taken = 0

    def open(self) -> IO[bytes]:
        """All of it as a file, from its beginning, until `close`."""
        if self._file is None:
            self._file = BytesIO(b"".join(self._parts))
            self._parts.clear()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Drop everything."""
        self._parts.clear()
        if self._file is not None:
            self._file.close()
        self._give_back()

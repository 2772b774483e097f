"""Turns away what waits for too long in the line of its client."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Final

from rocket_core._connection.shared_request import SharedRequest

if TYPE_CHECKING:
    from rocket_core._engine.engine import Engine
    from rocket_core._engine.seat import Seat
    from rocket_core._pool.client_lines import ClientLines

_LOOK: Final = 0.25
"""Seconds between two looks."""


class LineWatch:
    """A watcher of the Monitor's thread, which alone calls it."""

    def __init__(
        self,
        lines: ClientLines,
        engine: Engine,
        seat: Seat,
        *,
        queue_timeout: float,
    ) -> None:
        """Turn away what has waited ``queue_timeout`` seconds."""
        self._lines = lines
        self._engine = engine
        self._seat = seat
        self._timeout: Final = queue_timeout
        self._next = -inf

    def look(self) -> float:
        """Refuse what is late; return the seconds until the next look, infinite without a line."""
        if not self._lines.waiting:
            return inf
        now = time.monotonic()
        if now < self._next:
            return self._next - now
        self._next = now + _LOOK
        for request in self._lines.take_late(now - self._timeout):
            if isinstance(request, SharedRequest):
                self._engine.refuse_request(request)
            else:
                self._engine.refuse(request, self._seat)
        return _LOOK

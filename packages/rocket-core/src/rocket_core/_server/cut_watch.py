"""Tells the log of clients that the server has disconnected before they were done, if many."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from rocket_core._state import CloseReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_log = logging.getLogger("rocket_core.cut")

_PAUSE: Final = 60.0
"""Seconds between two looks, and so between two lines."""

_MANY: Final = 10
"""The number of clients from which on there is a line. A few are always too slow, or scanners."""

_CUTS: Final = (
    CloseReason.HANDSHAKE_TIMEOUT,
    CloseReason.HEAD_TIMEOUT,
    CloseReason.BODY_TIMEOUT,
    CloseReason.SEND_TIMEOUT,
    CloseReason.SILENCE_TIMEOUT,
    CloseReason.VIOLATION,
    CloseReason.ABUSE,
    CloseReason.CROWDED,
)
"""The reasons for which the server cuts connections, but for those that have lines of their own."""


class CutWatch:
    """Compares, once a minute, how many connections were closed for which reason.

    A watcher of the Monitor's thread, which alone calls it. That costs connections nothing.
    """

    def __init__(
        self,
        closes: Callable[[], Mapping[CloseReason, int]],
        *,
        pause: float = _PAUSE,
        many: float = _MANY,
    ) -> None:
        """Watch what ``closes`` returns: the connections that were closed so far, by reason."""
        self._closes = closes
        self._pause = pause
        self._many = many
        self._before: Mapping[CloseReason, int] = {}
        self._looked = time.monotonic()

    def look(self) -> float:
        """Tell of what has been cut, if that is due; return the seconds until the next look."""
        now = time.monotonic()
        elapsed = now - self._looked
        if elapsed < self._pause:
            return self._pause - elapsed
        before, self._before = self._before, self._closes()
        self._looked = now
        found = {
            each: self._before.get(each, 0) - before.get(each, 0)
            for each in _CUTS
            if self._before.get(each, 0) > before.get(each, 0)
        }
        total = sum(found.values())
        if total >= self._many:
            parts = sorted(found.items(), key=lambda item: -item[1])
            _log.warning(
                "cut %d connections in %.0f s: %s",
                total,
                elapsed,
                ", ".join(f"{count} {reason.value}" for reason, count in parts),
            )
        return self._pause

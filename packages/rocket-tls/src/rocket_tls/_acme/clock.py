"""Time, as what waits for a date sees it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Final

_LONGEST: Final = 24 * 3600.0
"""Seconds of one wait: what a clock that is set, or a machine that sleeps, can be late by."""


class Clock:
    """The system's time of day. Tests have one of their own."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)

    def wait(self, event: threading.Event, until: datetime) -> None:
        """Return once ``event`` is set, at ``until``, or after a day."""
        left = (until - self.now()).total_seconds()
        event.wait(min(max(left, 0.0), _LONGEST))

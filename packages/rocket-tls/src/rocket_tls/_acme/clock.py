"""The time of day for a thread that waits until a certain date."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Final

_LONGEST: Final = 24 * 3600.0
"""The longest single wait in seconds. It bounds the delay after the system's clock was set, or
after the machine has slept."""


class Clock:
    """The system's time of day. A test passes a clock of its own."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)

    def wait(self, event: threading.Event, until: datetime) -> None:
        """Return once ``event`` is set, at ``until``, or after a day."""
        left = (until - self.now()).total_seconds()
        event.wait(min(max(left, 0.0), _LONGEST))

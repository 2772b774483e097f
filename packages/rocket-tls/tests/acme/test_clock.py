from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from rocket_tls._acme.clock import Clock


class Watched(threading.Event):
    """An event that records its waits instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return False


def test_it_waits_until_the_time_but_no_longer_than_a_day() -> None:
    clock, event = Clock(), Watched()
    now = datetime.now(UTC)
    for left in (timedelta(hours=-1), timedelta(hours=1), timedelta(days=60)):
        clock.wait(event, now + left)
    past, hour, months = event.waits
    assert past == 0
    assert hour is not None
    assert 3500 < hour <= 3600
    assert months == 86400


def test_it_returns_at_once_when_the_event_is_set() -> None:
    event = threading.Event()
    event.set()
    Clock().wait(event, datetime.max.replace(tzinfo=UTC))

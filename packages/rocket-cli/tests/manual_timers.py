"""Timers and clocks that tests drive by hand."""

from __future__ import annotations

from collections.abc import Callable

from rocket_cli._supervisor.timers import Timers


class ManualTimers(Timers):
    """Timers whose calls the test makes."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self.calls: list[Callable[[], object]] = []

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        self.pauses.append(seconds)
        self.calls.append(call)

    def make_calls(self) -> None:
        """Make all calls, whatever their time."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Clock:
    """A stand-in for the module `time`, which stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

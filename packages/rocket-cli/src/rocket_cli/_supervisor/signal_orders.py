"""The signals that the supervisor obeys."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Final

from rocket_cli._processes.signals import ENDING, Events
from rocket_cli._supervisor.error_handling import log_errors

SIGNALS: Final = (
    *ENDING,
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""The signals that the supervisor catches."""


class SignalOrders:
    """Carries out what signals order, one after the other, on the supervisor's thread."""

    def __init__(
        self, events: Events, actions: Mapping[signal.Signals, Callable[[], object]]
    ) -> None:
        """Take the signals of ``events``; ``actions`` has an action for each of `SIGNALS`."""
        self._events = events
        self._actions = actions

    def obey(self) -> None:
        """Carry out the orders of all signals that have arrived, without waiting for any."""
        for number in self._events.take():
            with log_errors(f"handling {number.name}"):
                self._actions[number]()

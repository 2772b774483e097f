"""The orders that wait for the Monitor's thread."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rocket_core._engine.monitor import Monitor

_LONGEST_SLEEP: Final = 86400.0
"""Seconds that every wait for a queue takes; what is to be done may be further away."""

Order = Callable[[], None]


class Mailbox:
    """Takes orders from any thread, and from signal handlers, and gives them to one thread.

    It is made before the threads that write to it and the one that reads it. `queue.SimpleQueue`
    may be written to by a signal handler that has interrupted a write to the same queue.
    """

    def __init__(self, monitor: Monitor) -> None:
        """Wake ``monitor``, which the reading thread may poll, for each order."""
        self._monitor = monitor
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()

    def post(self, order: Order) -> None:
        """Have ``order`` carried out. Any thread and any signal handler may call this."""
        self._orders.put(order)
        self._monitor.wake()

    def alert(self) -> None:
        """Have the pool tended, without any order. Any thread and signal handler may call this."""
        self._orders.put(None)

    def take(self, timeout: float) -> Order | None:
        """Wait up to ``timeout`` seconds, infinite included, for an order; None: there is none.

        Returns earlier at an `alert`.
        """
        try:
            return self._orders.get(timeout=min(max(timeout, 0), _LONGEST_SLEEP))
        except queue.Empty:
            return None

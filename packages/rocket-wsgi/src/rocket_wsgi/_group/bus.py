"""The bus between groups of the same name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from rocket_wsgi._group.sequencer import Sequencer

Subscriber = Callable[[str, bytes], object]
"""Called with the name of a group and a message. It does not wait, and publishes nothing."""


class Bus(Protocol):
    """Hands every message to all subscribers, the sender's own included, in one order."""

    def publish(self, name: str, message: bytes) -> None:
        """Hand ``message`` to all subscribers, sooner or later."""

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback`` with the name and the content of every message from now on."""


class LocalBus:
    """A bus inside one process."""

    __slots__ = ("_lock", "_sequencer", "_subscribers")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards changes of the subscribers
        self._subscribers: tuple[Subscriber, ...] = ()
        self._sequencer: Sequencer[tuple[str, bytes]] = Sequencer(self._deliver)

    def publish(self, name: str, message: bytes) -> None:
        """Hand ``message`` to all subscribers, in the order of the calls."""
        with self._sequencer.lock:
            self._sequencer.make_room()
            mine = self._sequencer.add((name, message))
        if mine:
            self._sequencer.run()

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback`` with the name and the content of every message from now on."""
        with self._lock:
            self._subscribers = (*self._subscribers, callback)

    def _deliver(self, entry: tuple[str, bytes]) -> None:
        name, message = entry
        for subscriber in self._subscribers:
            subscriber(name, message)

"""The bus between groups of the same name.

A bus has `publish` and `subscribe` (`Bus`), and hands every message to all subscribers in one
order. A bus that remembers messages, or that may lose some, has `follow`, too (`RememberingBus`): a
group that is made late then begins with the history of the others, and learns of a gap.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from rocket_wsgi._group.sequencer import Sequencer

Subscriber = Callable[[str, bytes], object]
"""Called with the name of a group and a message. It does not wait, and publishes nothing."""


class Bus(Protocol):
    """Hands every message to all subscribers, the sender's own included, in one order."""

    def publish(self, name: str, message: bytes) -> None:
        """Hand ``message`` to all subscribers, sooner or later. Raises `BusError`."""

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback`` with the name and the content of every message from now on."""


class Follower:
    """A group as a bus sees it. One thread at a time makes the calls, none of which waits.

    Attributes:
        name: the name of the group.
        history: the number of messages that the group keeps.
        received: is called with each message of that name.
        recalled: is called with the latest messages before the first that is received, in order,
            but with ``history`` of them at most; perhaps with none, and perhaps not at all.
        missed: is called where messages may be missing between those received before and after.
        forked: is called in a process that was forked from this one, on its only thread.
    """

    __slots__ = ("forked", "history", "missed", "name", "recalled", "received")

    def __init__(
        self,
        name: str,
        history: int,
        *,
        received: Callable[[bytes], object],
        recalled: Callable[[list[bytes]], object],
        missed: Callable[[], object],
        forked: Callable[[], object],
    ) -> None:
        self.name: Final = name
        self.history: Final = history
        self.received: Final = received
        self.recalled: Final = recalled
        self.missed: Final = missed
        self.forked: Final = forked

    def take(self, name: str, message: bytes) -> None:
        """Receive a message of any name, as a `Subscriber` does."""
        if name == self.name:
            self.received(message)


class RememberingBus(Bus, Protocol):
    """A bus that keeps messages for newcomers, and says where some may have been missed."""

    def follow(self, follower: Follower) -> None:
        """Let ``follower`` have the messages of its name.

        Waits a bounded time until it has been given those that came before.
        """


def follow(bus: Bus, follower: Follower) -> None:
    """Let ``follower`` have the messages of its name from ``bus``, and earlier ones if it can."""
    remembering: Callable[[Follower], None] | None = getattr(bus, "follow", None)
    if remembering is None:
        bus.subscribe(follower.take)
    else:
        remembering(follower)


class LocalBus:
    """A bus inside one process, which remembers nothing."""

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

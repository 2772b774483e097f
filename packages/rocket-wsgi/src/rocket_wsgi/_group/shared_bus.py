"""The bus of the shared groups of this process, which may be made before the process has one.

Theory of operation. An application is imported before its process is connected to others, in a
worker process or, with ``--preload``, in the process that forks them. Therefore shared groups are
on an object that is there from the beginning, and that hands them on to a bus: first to one inside
this process, and to the command's as soon as the process has that (`connect`).

1. A thread makes a group: it notes the follower, and reads which bus is the present one.
2. Another thread connects: it replaces the bus, and reads the followers that are noted.
3. Both happen under the lock. If 1 came first, the follower is among those of step 2, and leaves
   the first bus behind, which gets no more messages. If 2 came first, the follower has read the new
   bus. So each is on the new bus once.

A fork leaves the child with one thread. Locks that other threads held would stay locked there, so
they are replaced (`_forked`). The groups are told, and do the same.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from rocket_wsgi._group.bus import Bus, Follower, LocalBus, Subscriber, follow


class SharedBus:
    """The bus of all shared groups of this process: ``environ["rocket.bus"]``.

    ``_lock`` guards the present bus, and what is on it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bus: Bus = LocalBus()
        self._subscribers: list[Subscriber] = []
        self._followers: list[Follower] = []

    def publish(self, name: str, message: bytes) -> None:
        """Hand ``message`` to all subscribers, in this process and the others.

        Raises `BusError` if the bus does not take the message within a second, and `ValueError` if
        the message is too large for it.
        """
        self._bus.publish(name, message)

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback`` with the name and the content of every message from now on."""
        with self._lock:
            self._subscribers.append(callback)
            bus = self._bus
        bus.subscribe(callback)

    def follow(self, follower: Follower) -> None:
        """Let ``follower`` have the messages of its name, and earlier ones if the bus has them."""
        with self._lock:
            self._followers.append(follower)
            bus = self._bus
        follow(bus, follower)

    def connect(self, bus: Bus) -> None:
        """Be on ``bus`` from now on, with all that is on the present one."""
        with self._lock:
            self._bus = bus
            subscribers, followers = tuple(self._subscribers), tuple(self._followers)
        for subscriber in subscribers:
            bus.subscribe(subscriber)
        for follower in followers:
            follow(bus, follower)

    def forked(self) -> None:
        """Go on in a forked process, on its only thread."""
        self._lock = threading.Lock()
        for follower in self._followers:
            follower.forked()
        if isinstance(self._bus, LocalBus):
            self.connect(LocalBus())


SHARED: Final = SharedBus()
"""The one of this process."""


def connect_shared_groups(bus: Bus) -> None:
    """Let all shared groups of this process, present and future, be on ``bus``."""
    SHARED.connect(bus)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHARED.forked)

"""Both ends of the bus between worker processes, in one process."""

from __future__ import annotations

import selectors
import socket
import threading
from typing import Self

from rocket_cli._processes.process_bus import ProcessBus
from rocket_cli._processes.task import Task
from rocket_cli._supervisor.child import Child
from rocket_cli._supervisor.message_bus import Link, MessageBus, MessageLog
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi.extending import Follower


class Ends:
    """The supervisor's end, on a thread of its own, and any number of processes.

    `lock` keeps the supervisor from taking another turn while a test holds it.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.lock = threading.Lock()
        self.rejected: list[str] = []
        self._selector = selectors.DefaultSelector()
        self.log = MessageLog() if limit is None else MessageLog(limit)
        self.bus = MessageBus(self._selector, self._reject, self.log)
        self._over = False
        self._sockets: list[socket.socket] = []
        self.links: list[Link] = []
        self._link_of: dict[ProcessBus, Link] = {}
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        for link in self.links:
            self.bus.close(link)
        self._selector.close()
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        while not self._over:
            with self.lock:
                for key, _ in self._selector.select(0.001):
                    key.data()

    def _reject(self, child: Child, error: Exception) -> None:
        self.rejected.append(str(error))

    def socket(self) -> socket.socket:
        """The socket of a new process."""
        with self.lock:
            link = self.bus.open()
            theirs = link.theirs.dup()
            self.bus.joined(link, Child(1, _Worker(), 1, None, None))  # type: ignore[arg-type]
        self.links.append(link)
        self._sockets.append(theirs)
        return theirs

    def process(self) -> ProcessBus:
        """The end of a new process."""
        bus = ProcessBus(self.socket())
        self._link_of[bus] = self.links[-1]
        return bus

    def follow(self, bus: ProcessBus, notes: Notes) -> None:
        """Have ``bus`` follow, and wait until it gets what any other process publishes.

        The supervisor hears of it on a socket of its own, and so perhaps after a message that
        another process publishes later.
        """
        bus.follow(notes.follower)
        eventually(lambda: self._link_of[bus].position is not None)


class _Worker(Task):
    name = "worker"
    sockets = ()

    def run(self, channel: object) -> int:
        raise NotImplementedError


class Notes:
    """What a follower is given."""

    def __init__(self, name: str, history: int = 0) -> None:
        self.got: list[bytes] = []
        self.before: list[bytes] | None = None
        self.follower = Follower(
            name,
            history,
            received=self.got.append,
            recalled=self._recalled,
            missed=lambda: self.got.append(b"MISSED"),
            forked=lambda: None,
        )

    def _recalled(self, messages: list[bytes]) -> None:
        assert self.before is None
        self.before = messages

    def gets_number(self, count: int) -> None:
        """Wait until it has received so many messages."""
        eventually(lambda: len(self.got) >= count)

    def gets(self, *messages: bytes) -> bool:
        """Wait until these are what it has received."""
        eventually(lambda: len(self.got) >= len(messages))
        return self.got == list(messages)

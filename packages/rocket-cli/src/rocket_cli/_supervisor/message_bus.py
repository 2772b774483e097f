"""The supervisor's part of the bus between the shared groups of all worker processes.

Theory of operation. A process publishes a message, and the supervisor appends it to one log
(`MessageLog`). That is the one order. Each process that has subscribed has a position in the log,
and is sent what is behind it, as fast as it takes that. The supervisor looks at no message's
content, and waits for no process.

The log has a bound in bytes (`MAX_LOG`), and the oldest messages leave it. It is the only memory
that grows with messages, whatever a process does: a process that is stopped or too slow keeps its
position, until the log has left that behind. What it has missed then is counted, and told to it in
its place (`Kind.MISSED`). So a process gets all messages, or knows where some are missing.

Messages that all processes have taken stay in the log as long as there is room, for groups that are
made later: those of new processes after a reload, and those that an application makes when they are
first needed.

A message that a process has published before it ended, or was killed, is read to the last: the end
of the process is handled after what its socket still has (`MessageBus.gone`). Half a message is
dropped.
"""

from __future__ import annotations

import logging
import selectors
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from rocket_cli._processes.bus_frames import (
    FrameError,
    FrameReader,
    Kind,
    frame,
    missed_content,
    split_message,
    split_recall,
)
from rocket_cli._sockets.forks import keep_from_children
from rocket_cli._supervisor.child import Child
from rocket_core.extending import RareLog

_log = logging.getLogger("rocket_cli")

MAX_LOG: Final = 16 << 20
"""Bytes of messages that the supervisor keeps."""

_OVERHEAD: Final = 256
"""Bytes of memory that a message takes beside its own."""

_TURN: Final = 1 << 18
"""The maximum number of bytes that are received from a process in one turn."""

_SEND_SIZE: Final = 1 << 16
_SENDS: Final = 16
"""The maximum number of times that a process is sent something in one turn."""

_LAST_TURNS: Final = 64
"""Turns in which what a process has published before its end is received."""


class MessageLog:
    """The latest messages, in their order, with numbers that grow by one.

    Attributes:
        first: the number of the oldest message that is kept.
        end: the number of the next message.
    """

    def __init__(self, limit: int = MAX_LOG) -> None:
        """Keep ``limit`` bytes at most, but at least the latest message."""
        self.first = 0
        self.end = 0
        self._limit = limit
        self._size = 0
        self._frames: dict[int, tuple[bytes, bytes]] = {}
        self._by_name: dict[bytes, deque[int]] = {}

    def add(self, name: bytes, data: bytes) -> None:
        """Append a message, as a frame; the oldest leave if there is no room for them."""
        self._frames[self.end] = name, data
        self._by_name.setdefault(name, deque()).append(self.end)
        self.end += 1
        self._size += len(data) + _OVERHEAD
        while self._size > self._limit and self.first < self.end - 1:
            self._drop_first()

    def _drop_first(self) -> None:
        name, data = self._frames.pop(self.first)
        self._size -= len(data) + _OVERHEAD
        numbers = self._by_name[name]
        numbers.popleft()
        if not numbers:
            del self._by_name[name]
        self.first += 1

    def get(self, number: int) -> bytes | None:
        """Return the frame with a message; None if it has left."""
        entry = self._frames.get(number)
        return None if entry is None else entry[1]

    def latest(self, name: bytes, before: int, count: int) -> deque[int]:
        """Return the numbers of the latest ``count`` messages of ``name`` before ``before``."""
        found: deque[int] = deque()
        for number in reversed(self._by_name.get(name, ())):
            if len(found) >= count:
                break
            if number < before:
                found.appendleft(number)
        return found


class Link:
    """The supervisor's end of the sockets to a process.

    Attributes:
        ours: the supervisor's socket.
        theirs: the socket of the process, until the process has it.
        child: the process, once it is forked.
        position: the number of the next message that it is sent; None if it has not subscribed.
        recalled: the numbers of earlier messages that it is sent before that; None if it has not
            asked for any.
        rest: what is just sent to it.
        told: up to which message it was logged that the process misses messages.
    """

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        keep_from_children(self.ours)
        self.child: Child | None = None
        self.reader = FrameReader()
        self.position: int | None = None
        self.recalled: deque[int] | None = None
        self.rest = memoryview(b"")
        self.told = 0

    def __str__(self) -> str:
        return "a process" if self.child is None else str(self.child)


class MessageBus:
    """Gives the messages of all processes one order. Only the supervisor's thread may use this.

    Attributes:
        dropped: the number of messages that processes have missed.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        reject: Callable[[Child, Exception], None],
        log: MessageLog | None = None,
    ) -> None:
        """Start without processes. ``reject`` ends one that sends what it must not send."""
        self._selector = selector
        self._reject = reject
        self._messages = log or MessageLog()
        self._links: list[Link] = []
        self._warn = RareLog(_log)
        self.dropped = 0

    # -- processes ---------------------------------------------------------------------------------

    def open(self) -> Link:
        """Make the sockets for a process that is about to be forked. Raises `OSError`."""
        link = Link()
        try:
            self._selector.register(link.ours, selectors.EVENT_READ, lambda: self._exchange(link))
        except OSError:
            link.ours.close()
            link.theirs.close()
            raise
        self._links.append(link)
        return link

    def joined(self, link: Link, child: Child) -> None:
        """Note which process has the other socket."""
        link.child = child
        link.theirs.close()

    def close(self, link: Link) -> None:
        """Close the sockets, unless they are."""
        if link in self._links:
            self._links.remove(link)
            with suppress(KeyError):
                self._selector.unregister(link.ours)
        link.ours.close()
        link.theirs.close()

    def gone(self, child: Child) -> None:
        """Pass on what ``child`` has published before it ended, and forget it."""
        for link in [each for each in self._links if each.child is child]:
            for _ in range(_LAST_TURNS):
                if not self._hear(link):
                    break
            self.close(link)

    def leave(self) -> None:
        """Close, in a new process, what only the supervisor may hold."""
        for link in self._links:
            link.ours.close()

    # -- messages ----------------------------------------------------------------------------------

    def _exchange(self, link: Link) -> None:
        """Send what ``link`` is to get, and take a turn of what it has sent."""
        if link.ours.fileno() < 0:
            return
        if link.rest:
            self._send(link)
        self._hear(link)

    def _hear(self, link: Link) -> bool:
        """Take a turn of what a process has sent; return whether there may be more."""
        try:
            data = link.ours.recv(_TURN)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self.close(link)  # the process has ended, or is about to
            return False
        try:
            for kind, content in link.reader.feed(data):
                self._obey(link, kind, content)
        except FrameError as error:
            child = link.child
            self.close(link)
            if child is not None:
                self._reject(child, error)
        self._send_all()
        return link in self._links

    def _obey(self, link: Link, kind: int, content: bytes) -> None:
        if kind == Kind.PUBLISH:
            name, _ = split_message(content)
            self._messages.add(name, frame(Kind.MESSAGE, content))
        elif kind == Kind.SUBSCRIBE and link.position is None and not content:
            link.position = self._messages.end
        elif kind == Kind.RECALL and link.position is not None and link.recalled is None:
            name, count = split_recall(content)
            link.recalled = self._messages.latest(name, link.position, count)
        else:
            raise FrameError(f"a frame of kind {kind} is not expected here")

    def _send_all(self) -> None:
        """Send the processes what they have not got, except those that do not take it."""
        first = self._messages.first
        for link in list(self._links):
            if link.position is not None and link.position < first and link.told < first:
                self.dropped += first - max(link.position, link.told)
                link.told = first
                self._warn.warning(
                    "%s does not take the messages of its groups: the oldest are dropped, "
                    "%d so far for all processes",
                    link,
                    self.dropped,
                )
            if not link.rest:
                self._send(link)

    def _send(self, link: Link) -> None:
        """Send what ``link`` takes, up to the end of its turn."""
        for _ in range(_SENDS):
            if not link.rest:
                link.rest = memoryview(self._batch(link))
                if not link.rest:
                    self._watch(link, selectors.EVENT_READ)
                    return
            try:
                link.rest = link.rest[link.ours.send(link.rest) :]
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                link.rest = memoryview(b"")  # its end is noticed where it is read
                link.position = None
                return
        self._watch(link, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _batch(self, link: Link) -> bytes:
        frames: list[bytes] = []
        size = 0
        while size < _SEND_SIZE and (following := self._next(link)) is not None:
            frames.append(following)
            size += len(following)
        return b"".join(frames)

    def _next(self, link: Link) -> bytes | None:
        """Return the next frame for ``link``; None if it has all."""
        messages = self._messages
        while link.recalled:
            found = messages.get(link.recalled.popleft())
            if found is not None:
                return bytes([Kind.RECALLED]) + found[1:]
        if link.recalled is not None:
            link.recalled = None
            return frame(Kind.RECALL_END)
        if link.position is None or link.position == messages.end:
            return None
        if link.position < messages.first:
            missed = messages.first - link.position
            link.position = messages.first
            return frame(Kind.MISSED, missed_content(missed))
        found = messages.get(link.position)
        link.position += 1
        return found

    def _watch(self, link: Link, events: int) -> None:
        key = self._selector.get_key(link.ours)
        if key.events != events:
            self._selector.modify(link.ours, events, key.data)

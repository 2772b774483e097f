"""The output that a connection has yet to send."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from rocket_core._connection.budget import Budget

OUTPUT_BOUND: Final = 256 * 1024
"""Bytes of a response that are held for a client, before the worker must wait for it."""

_SENDFILE_SPAN: Final = 1 << 20
"""Bytes of a file that are sent with one call of the system at most."""

_SMALL: Final = 1024
_JOINED: Final = 4 * 1024
"""Bytes of a piece, and of the part before it, up to which the piece is joined to the part: a piece
of its own takes about 200 bytes more than it holds."""

_SHARE: Final = 8 << 20
"""Bytes that are sent to one client in a row, before the thread looks after other clients."""


class Channel(Protocol):
    """The receiver of the output: a connection, as far as that matters here."""

    def send_now(self, data: memoryview) -> int | None:
        """Send once; return the number of bytes taken, or None when none can be taken yet."""

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        """Send once from a file; return the number of bytes taken, 0 at its end, None: not yet."""


@dataclass(slots=True)
class FileSpan:
    """A part of an open file; the last span with a descriptor closes it."""

    descriptor: int
    offset: int
    count: int
    last: bool


class Loan:
    """Bytes of the application that are not copied.

    They are part of an object of ``size`` bytes, which stays in memory until all are sent.
    """

    __slots__ = ("rest", "size")

    def __init__(self, rest: memoryview, size: int) -> None:
        self.rest = rest
        self.size = size


class Output:
    """Bytes and parts of files, in the order in which they go to the client.

    Copied bytes are bounded for each connection. All connections of a server share a budget for
    copied bytes, of which the first `GRAIN` of each connection do not count, and for lent ones.
    Files take no memory. Only the owner of the connection calls the methods.

    Attributes:
        held: bytes held in memory. Any thread may read it.
    """

    __slots__ = ("_budget", "_copied", "_parts", "held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parts: deque[memoryview | FileSpan | Loan] = deque()
        self._copied = 0
        self.held = 0

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, data: memoryview) -> int:
        """Append a copy of as many bytes of ``data`` as there is room for; return how many."""
        room = min(len(data), OUTPUT_BOUND - self._copied)
        taken = self._budget.take_for(self._copied, room)
        if taken:
            self._append(data[:taken])
            self._copied += taken
            self.held += taken
        return taken

    def _append(self, data: memoryview) -> None:
        last = self._parts[-1] if self._parts else None
        if isinstance(last, memoryview) and len(data) < _SMALL and len(last) < _JOINED:
            self._parts[-1] = memoryview(b"".join((last, data)))
        else:
            self._parts.append(memoryview(bytes(data)))

    def lend(self, data: memoryview, size: int) -> bool:
        """Append all of ``data`` as it is, where `add` has no room; return whether it was appended.

        ``data`` is part of an object of ``size`` bytes, which must not change.
        """
        if len(data) <= OUTPUT_BOUND - self._copied or not self._budget.lend(size):
            return False
        self._parts.append(Loan(data, size))
        self.held += size
        return True

    def add_spans(self, descriptor: int, spans: Sequence[tuple[bytes, int, int]]) -> None:
        """Append parts of a file, each (bytes before it, offset, count).

        All parts share one duplicate of the descriptor. The bytes are few, and are held whatever
        the bound. Raises `OSError` when no descriptor is left.
        """
        last = max(index for index, (_, _, count) in enumerate(spans) if count)
        own = os.dup(descriptor)
        for index, (before, offset, count) in enumerate(spans):
            if before:
                taken = self._budget.take_for(self._copied, len(before), all_of_it=True)
                self._copied += taken
                self.held += taken
                self._parts.append(memoryview(before))
            if count:
                self._parts.append(FileSpan(own, offset, count, index == last))

    def flush(self, channel: Channel) -> int:
        """Send until all is sent, or the client takes no more or has had its share.

        Returns how many bytes were sent. Raises `OSError` when the client is gone.
        """
        moved = 0
        while self._parts and moved < _SHARE:
            part = self._parts[0]
            if isinstance(part, FileSpan):
                sent = self._send_file(channel, part)
            elif isinstance(part, Loan):
                sent = self._send_loan(channel, part)
            else:
                sent = self._send_copy(channel, part)
            if sent is None:
                break
            moved += sent
        return moved

    def _send_file(self, channel: Channel, part: FileSpan) -> int | None:
        sent = channel.send_file_now(part.descriptor, part.offset, min(part.count, _SENDFILE_SPAN))
        if sent is None:
            return None
        if sent == 0:
            raise ConnectionAbortedError("the file became shorter while it was sent")
        part.offset += sent
        part.count -= sent
        if part.count == 0:
            self._parts.popleft()
            if part.last:
                os.close(part.descriptor)
        return sent

    def _send_loan(self, channel: Channel, part: Loan) -> int | None:
        sent = channel.send_now(part.rest)
        if sent is None:
            return None
        part.rest = part.rest[sent:]
        if not part.rest:
            self._parts.popleft()
            self.held -= part.size
            self._budget.give_back(part.size)
        return sent

    def _send_copy(self, channel: Channel, part: memoryview) -> int | None:
        sent = channel.send_now(part)
        if sent is None:
            return None
        self._budget.give_back_for(self._copied, sent)
        self._copied -= sent
        self.held -= sent
        if sent == len(part):
            self._parts.popleft()
        else:
            self._parts[0] = part[sent:]
        return sent

    def clear(self) -> None:
        """Drop everything and close the files."""
        while self._parts:
            part = self._parts.popleft()
            if isinstance(part, FileSpan) and part.last:
                os.close(part.descriptor)
        self._budget.give_back_for(self._copied, self._copied)
        self._budget.give_back(self.held - self._copied)
        self.held = self._copied = 0

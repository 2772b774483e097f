"""What a connection has yet to send."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from rocket_core._connection.budget import Budget

OUTPUT_BOUND: Final = 256 * 1024
"""Bytes of a response held for a client that does not take them, before its worker must wait."""

_SENDFILE_SPAN: Final = 1 << 20

_SMALL: Final = 1024
_JOINED: Final = 4 * 1024
"""Bytes of a piece, and of a part, up to which the piece is joined to the part: kept by itself, it
takes some two hundred bytes besides what it holds."""

_SHARE: Final = 8 << 20
"""Bytes after which a client that takes all it is given lets others have their turn."""


class Channel(Protocol):
    """What takes output: a connection, as far as that matters here."""

    def send_now(self, data: memoryview) -> int | None:
        """One send: the number of bytes taken, or None: not yet."""

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        """One send from a file: the number of bytes taken, 0 at its end, None: not yet."""


@dataclass(slots=True)
class FileSpan:
    """Part of an open file; the descriptor belongs to the last span that has it."""

    descriptor: int
    offset: int
    count: int
    last: bool


@dataclass(slots=True)
class Loan:
    """Bytes of the application's that are not copied; they occupy ``size`` until all are sent."""

    rest: memoryview
    size: int


class Output:
    """Bytes and parts of files in the order in which they go to the client.

    The bytes that are copied are bounded. All connections of a server share a budget for these, of
    which the first `GRAIN` bytes of each take nothing, and for those that are lent; files cost no
    memory.
    """

    __slots__ = ("_budget", "_copied", "_parts", "held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parts: deque[memoryview | FileSpan | Loan] = deque()
        self._copied = 0
        self.held = 0
        """Bytes held in memory."""

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, data: memoryview) -> int:
        """Append a copy of as many bytes as there is room for; how many that were."""
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
        """Append all of ``data`` as it is, where `add` has no room for it; whether it was appended.

        It is part of an object of ``size`` bytes, which must not change.
        """
        if len(data) <= OUTPUT_BOUND - self._copied or not self._budget.lend(size):
            return False
        self._parts.append(Loan(data, size))
        self.held += size
        return True

    def add_spans(self, descriptor: int, spans: Sequence[tuple[bytes, int, int]]) -> None:
        """Append parts of a file, each (bytes before it, offset, count), with one duplicate.

        The bytes are few, and are held whatever the bound. Raises `OSError` when no descriptor is
        left.
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
        """Send until all is sent, the client takes no more or has its share; the bytes sent.

        Raises `OSError` when the client is gone.
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
            raise ConnectionAbortedError("a file became shorter while it was sent")
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

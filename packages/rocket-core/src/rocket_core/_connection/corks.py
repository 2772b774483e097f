"""Output that is left for the next request of its connection, so that it leaves with more."""

from __future__ import annotations

from math import inf
from typing import Protocol


class Corked(Protocol):
    """A shared connection with output that no thread is about to send.

    Attributes:
        left: whether it is among those that were left.
    """

    left: bool

    def flush(self) -> None:
        """Carry out what was noted. Any thread may call this."""

    def __hash__(self) -> int: ...


class Corks:
    """The shared connections whose output was left. Any thread may call `leave`.

    A worker that has served a request leaves its output where another request of the connection is
    about to be served, and the worker of that one sends both. That may take long, so the Monitor's
    thread looks after all that was left, every few milliseconds while the pool is busy.

    A connection that is there already need not be left again, which `Corked.left` says, so that
    this costs most requests one look at an attribute. 1. A worker has put something into the
    output, and finds ``left`` true. 2. The Monitor's thread sets it to false, and flushes. If the
    first step comes before the second one, the flush finds the output; if it comes later, the
    worker finds ``left`` false. The lock of the output, which both take, puts them in an order.

    There is no lock of the set, since its single operations are atomic.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: set[Corked] = set()

    def leave(self, shared: Corked) -> None:
        """Note that there is output on ``shared``. The caller then rouses the Monitor's thread."""
        shared.left = True  # before another thread can find it here
        self._left.add(shared)

    def look(self) -> float:
        """Send all that was left; return an infinite time. The Monitor's thread calls this."""
        while self._left:
            shared = self._left.pop()
            shared.left = False
            shared.flush()
        return inf

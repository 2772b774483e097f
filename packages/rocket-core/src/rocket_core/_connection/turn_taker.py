"""Turns: exchanges in which the server has something to say to the application.

Theory of operation
-------------------
A shared connection, or a stream on it, does not own a thread. When there is something to do for it
that only the application can do, it is put into the queue of the pool; the worker that takes it
does one thing, and puts it behind all others if more is left. So one client with a hundred messages
and a hundred clients with one each are treated alike.

Such an object is a `TurnTaker`, and is in the queue once or not at all. That follows from the state
of its turn, which changes under ``_lock``:

    =========  =========================  ==========================  ==========================
    state      `_want`                    `begin_turn`                `end_turn`
    =========  =========================  ==========================  ==========================
    RESTING    QUEUED, and the caller
               puts it into the queue
    QUEUED     stays                      RUNNING
    RUNNING    CALLED                                                 RESTING, or QUEUED if more
                                                                      is left
    CALLED     stays                                                  QUEUED
    =========  =========================  ==========================  ==========================

1. A worker finds that nothing is left to do, and is about to end the turn. 2. Another thread wants
a turn. 3. The worker ends it. The lock puts that in an order: either the state is CALLED before the
third step, and the worker queues the turn again, or it is RESTING in the second one, and the other
thread queues it.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import Final

from rocket_core._exchange import Exchange
from rocket_core._native_classes import mypyc_attr
from rocket_core._state import State


class TurnState(Enum):
    """Where a turn is."""

    RESTING = "resting"
    QUEUED = "queued"
    RUNNING = "running"
    CALLED = "running, and wanted again"

    __hash__ = object.__hash__


_RESTING: Final = TurnState.RESTING
_QUEUED: Final = TurnState.QUEUED
_RUNNING: Final = TurnState.RUNNING
_CALLED: Final = TurnState.CALLED


@mypyc_attr(allow_interpreted_subclasses=True)
class TurnTaker(Exchange):
    """An object that has turns. The worker that has taken it from the queue is its owner.

    Attributes:
        turn_state: where its turn is. Any thread may read it.
    """

    __slots__ = ("_lock", "turn_state")

    def __init__(self) -> None:
        """Begin at rest."""
        Exchange.__init__(self)
        self.state = State.SHARED
        self._lock = threading.Lock()
        self.turn_state = _RESTING

    # -- for subclasses ------------------------------------------------------------------------

    def take_turn(self) -> bool:
        """Do one thing; return whether more is left. A thread of the pool calls this."""
        raise NotImplementedError

    def flush(self) -> None:
        """Carry out what was noted meanwhile. Any thread may call this. Raises nothing."""
        raise NotImplementedError

    def failed(self) -> None:
        """A method raised an exception, which is logged already. Any thread may call this."""
        raise NotImplementedError

    def overdue(self) -> None:
        """The present turn takes too long. The Monitor's thread calls this."""
        raise NotImplementedError

    def doing(self) -> str:
        """Return what the present turn is busy with, for people. Any thread may call this."""
        raise NotImplementedError

    @property
    def leaves(self) -> bool:
        """Whether it has been told, in a turn, that it is over."""
        raise NotImplementedError

    # -- the state -----------------------------------------------------------------------------

    def _want(self) -> bool:
        """With the lock: note that there is something to do; return whether to queue the turn."""
        if self.turn_state is _RESTING:
            self.turn_state = _QUEUED
            return True
        if self.turn_state is _RUNNING:
            self.turn_state = _CALLED
        return False

    def begin_turn(self) -> None:
        """Note that the calling worker has taken the turn from the queue."""
        with self._lock:
            self.turn_state = _RUNNING

    def end_turn(self, *, again: bool) -> bool:
        """Note that the turn is over; return whether the caller is to queue it again.

        ``again``: more is left to do.
        """
        with self._lock:
            queued = again or self.turn_state is _CALLED
            self.turn_state = _QUEUED if queued else _RESTING
            return queued

    def begin_stall(self, now: float) -> None:
        """Note at ``now`` that the worker waits for the client, in a turn."""
        self.stalled_since = now

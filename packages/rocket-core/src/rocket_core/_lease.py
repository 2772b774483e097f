"""Who may use a connection while the application runs: its worker, or the Monitor's thread."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from rocket_core._errors import ClientGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Hold(Enum):
    """The right to use the connection of one request."""

    HELD = "held"
    """The worker uses the connection, or its response has begun."""
    WAITING = "waiting"
    """The worker holds it and waits for the client."""
    FREE = "free"
    """The application runs, and nobody uses the connection."""
    OVERTAKEN = "overtaken"
    """The Monitor's thread has answered; the connection is the worker's no more."""
    CUT = "cut"
    """The worker held it at the end of the time: the connection is aborted, and still its own."""
    OVER = "over"
    """The request is done, in time or without a limit."""

    __hash__ = object.__hash__


_OVERDUE: Final = {Hold.FREE: Hold.OVERTAKEN, Hold.HELD: Hold.CUT}
"""What the Monitor's thread does to a right whose time is up; from others it keeps away."""

_ENDED: Final = frozenset({Hold.OVERTAKEN, Hold.CUT, Hold.OVER})


class Lease:
    """One request with a limited time. Whoever takes the right to the connection first, answers.

    A worker begins with the right held. One that never offers it is not overtaken: its connection
    is aborted when the time is up.

    ``_lock`` guards the right, how many use it, and ``began``.

    Attributes:
        began: when the request began, by `time.monotonic`; later by what its client was waited for.
        thread: the number of the thread that serves it, as `threading.get_ident`.
        context: what the worker lets `Worker.overdue` know of the request.
    """

    __slots__ = ("_lock", "_right", "_uses", "_waits_since", "began", "context", "thread")

    def __init__(self, began: float) -> None:
        self._lock = threading.Lock()
        self._right = Hold.HELD
        self._uses = 1
        self._waits_since = 0.0
        self.began = began
        self.thread = threading.get_ident()
        self.context: Any = None

    # -- the worker's side ---------------------------------------------------------------------

    @property
    def right(self) -> Hold:
        """The right at present."""
        return self._right

    def offer(self, context: Any) -> None:
        """The worker, which holds the right from the beginning, does not use the connection now."""
        self.context = context
        self.release()

    def release(self) -> None:
        """Undo one `claim`."""
        with self._lock:
            self._uses -= 1
            if not self._uses and self._right is Hold.HELD:
                self._right = Hold.FREE

    def claim(self) -> None:
        """Take the right to use the connection, for good or until the `release`.

        Raises `ClientGone` when the Monitor's thread has answered meanwhile.
        """
        with self._lock:
            if self._right is Hold.OVERTAKEN:
                raise ClientGone("the request ran for too long and was answered without it")
            self._uses += 1
            if self._right is Hold.FREE:
                self._right = Hold.HELD

    @contextmanager
    def use(self) -> Iterator[None]:
        """Entered to use the connection once, before the response begins. Raises as `claim`."""
        self.claim()
        try:
            yield
        finally:
            self.release()

    def wait(self, now: float) -> None:
        """The worker waits for its client from ``now`` on, which is not the application's time."""
        with self._lock:
            if self._right is Hold.HELD:
                self._right = Hold.WAITING
                self._waits_since = now

    def resume(self, now: float) -> None:
        """The worker waits no more."""
        with self._lock:
            if self._right is Hold.WAITING:
                self._right = Hold.HELD if self._uses else Hold.FREE
                self.began += now - self._waits_since

    def finish(self) -> Hold:
        """The worker is done, or has no limit any more: OVER, unless its time was up before."""
        with self._lock:
            if self._right not in _ENDED:
                self._right = Hold.OVER
            return self._right

    # -- the Monitor's thread ------------------------------------------------------------------

    def overdue(self, due: float) -> bool:
        """Whether it began before ``due``, and something can be done about that."""
        return self.began <= due and self._right in _OVERDUE

    def overtake(self, due: float, abort: Callable[[], None]) -> Hold:
        """Take the right if it is free, and call ``abort`` if it is held; the right from now on.

        Nothing happens when the request began after ``due``. ``abort`` runs before the worker can
        give the connection to anybody else.
        """
        with self._lock:
            if self.overdue(due):
                self._right = _OVERDUE[self._right]
                if self._right is Hold.CUT:
                    abort()
            return self._right

"""The lease of a connection: whether its worker or the Monitor's thread may use it.

Theory of operation
-------------------
Where the server limits the time of requests, two threads may want to use an active connection: the
worker that serves the request, and the Monitor's thread, which answers the client once the time is
up while the application still runs. The state of the connection is ACTIVE all the time, so the
state cannot tell which of the two is the owner. A lease tells it, one for each request.

The worker holds the lease from the beginning. Where its protocol does not use the connection while
the application runs, it offers the lease, and claims it again before the response begins. When the
time is up, the Monitor's thread does what the lease allows:

- The lease is free: the Monitor's thread *overtakes* the request. From then on it owns the
  connection. The worker's next claim raises `ClientGone`, and the worker does not touch the
  connection any more.
- The worker holds the lease: it may be in the middle of a response, which no other thread could
  continue. The Monitor's thread *cuts* the connection, which stays the worker's.
- The worker waits for its client: that is not the application's time, and does not count.

The application may use threads of its own: one may read the body of the request while another
begins the response. So claims are counted, and the lease is free once all of them are released.

Every decision is made under the lock of the lease, which no thread holds while it waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final

from rocket_core._errors import ClientGone


class Hold(Enum):
    """The state of a lease."""

    HELD = "held"
    """The worker uses the connection, or its response has begun."""
    WAITING = "waiting"
    """The worker holds the lease and waits for the client."""
    FREE = "free"
    """The application runs, and no thread uses the connection."""
    OVERTAKEN = "overtaken"
    """The Monitor's thread has answered; the connection is no longer the worker's."""
    CUT = "cut"
    """The worker held the lease when the time was up: the connection is aborted, and the worker's
    own still."""
    OVER = "over"
    """The request is done, in time or without a limit."""

    __hash__ = object.__hash__


_OVERDUE: Final = {Hold.FREE: Hold.OVERTAKEN, Hold.HELD: Hold.CUT}
"""What becomes of a lease when the time is up; in every other state it stays as it is."""

_ENDED: Final = frozenset({Hold.OVERTAKEN, Hold.CUT, Hold.OVER})


class Lease:
    """The right to use the connection of one request whose time is limited.

    A worker that never offers the lease is not overtaken: its connection is aborted when the time
    is up.

    ``_lock`` guards the state, the number of claims, and `began`.

    Attributes:
        began: when the request began, by `time.monotonic`; later by the time for which the worker
            has waited for its client.
        context: what the worker lets `Worker.overdue` know of the request.
        late: is called once the time is up, by the Monitor's thread, which must not wait; None: no
            call. Who sets it looks at `hold` afterwards, as it may be too late to be called.
        thread: the number of the thread that serves the request, as `threading.get_ident`.
    """

    __slots__ = ("_claims", "_hold", "_lock", "_waits_since", "began", "context", "late", "thread")

    def __init__(self, began: float) -> None:
        """Begin with the lease held by the calling thread, a worker."""
        self._lock = threading.Lock()
        self._hold = Hold.HELD
        self._claims = 1
        self._waits_since = 0.0
        self.began = began
        self.thread = threading.get_ident()
        self.context: Any = None
        self.late: Callable[[], None] | None = None

    # -- the worker's side ---------------------------------------------------------------------

    @property
    def hold(self) -> Hold:
        """The present state. Any thread may ask."""
        return self._hold

    def offer(self, context: Any) -> None:
        """Give up the claim with which the request began; ``context`` is for `Worker.overdue`."""
        self.context = context
        self.release()

    def release(self) -> None:
        """Undo one `claim`."""
        with self._lock:
            self._claims -= 1
            if not self._claims and self._hold is Hold.HELD:
                self._hold = Hold.FREE

    def claim(self) -> None:
        """Take the right to use the connection, for good or until the `release`.

        Raises `ClientGone` when the Monitor's thread has answered meanwhile.
        """
        with self._lock:
            # 1. The time is up, while the lease is free. 2. The worker claims it, and the Monitor's
            # thread overtakes it. 3. The thread that has the lock first wins: the worker finds
            # OVERTAKEN here, or the Monitor's thread finds HELD and cuts the connection.
            if self._hold is Hold.OVERTAKEN:
                raise ClientGone("the request took too long, and the server has answered it")
            self._claims += 1
            if self._hold is Hold.FREE:
                self._hold = Hold.HELD

    @contextmanager
    def use(self) -> Iterator[None]:
        """Claim the lease for a single use, before the response begins. Raises as `claim`."""
        self.claim()
        try:
            yield
        finally:
            self.release()

    def wait(self, now: float) -> None:
        """Note that the worker waits for its client from ``now`` on."""
        with self._lock:
            if self._hold is Hold.HELD:
                self._hold = Hold.WAITING
                self._waits_since = now

    def resume(self, now: float) -> None:
        """Note that the worker waits no more; the time since `wait` does not count."""
        with self._lock:
            if self._hold is Hold.WAITING:
                self._hold = Hold.HELD if self._claims else Hold.FREE
                self.began += now - self._waits_since

    def finish(self) -> Hold:
        """End the lease: the request is done, or its time is not limited any more.

        Returns OVER, or how the lease has ended before.
        """
        with self._lock:
            if self._hold not in _ENDED:
                self._hold = Hold.OVER
            return self._hold

    # -- the Monitor's thread ------------------------------------------------------------------

    def overdue(self, due: float) -> bool:
        """Whether the request began before ``due`` and `overtake` would do something about it.

        The answer may be out of date, unless the caller has the lock: `overtake` asks again.
        """
        return self.began <= due and self._hold in _OVERDUE

    def overtake(self, due: float, abort: Callable[[], None]) -> Hold:
        """Take the lease if it is free, and call ``abort`` if it is held; return its new state.

        Nothing happens when the request began after ``due``.
        """
        with self._lock:
            if self.overdue(due):
                self._hold = _OVERDUE[self._hold]
                if self._hold is Hold.CUT:
                    # Under the lock, or: 1. this thread finds that the worker holds the lease,
                    # 2. the worker finishes the request, and parks or closes the connection,
                    # 3. this thread aborts a connection that waits for its next request, or, by a
                    # descriptor that was closed, another one. `finish` takes the lock as well, so
                    # the worker still has the connection here.
                    abort()
            return self._hold

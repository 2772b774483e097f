"""``rocket.cancelled``: tells a view that nobody waits for its answer any more.

Theory of operation
-------------------
A `Cancellation` is made when a view first asks for it, and ends with the request. Until then it is
*running*; it is *cancelled* once, for one reason, and stays so. These are who may find out why:

- The thread that polls the Monitor, or the one that stops the server, is told that the client of a
  connection of HTTP/1.1 may have left (`EndWatch`), and calls `look`.
- The owner of a connection of HTTP/2 finds a stream reset, or the connection lost: it calls `look`.
- The Monitor's thread finds that ``request_timeout`` is over (`Lease.late`), and calls `late`.
- The Monitor's thread is told by an alarm that a deadline may be over, and calls `look`.
- A thread of the application asks, and finds that a deadline is over.
- The thread that has served the request calls `end`.

``_changed`` has the lock, which guards everything. It is held for short steps, in which no thread
waits for anything but the condition itself.

**Callbacks** may take long, for example to connect to a database, so that none of these threads may
call them. The first one that is due starts a thread, which calls all callbacks of the request, one
after the other, and ends. So there are no more such threads than requests that are served.

**One owner.** A connection of HTTP/1.1 that is watched belongs to the worker that serves it, and it
gives it away only after `end`, which ends the watch with the lock. `look`, which may run on any
thread, asks the socket only with the lock and while the request is not over. 1. A thread that polls
is about to call `look`. 2. The worker ends the request, and parks the connection. 3. `look` finds
the request over, and does not touch the connection, which may be closed or serve another request.
After ``request_timeout`` the Monitor's thread takes the connection from the worker, and calls
`late` before it uses it: the same holds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import inf
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Final, Protocol, final

from rocket_core.extending import Hold, Lease
from rocket_wsgi._errors import Cancelled, CancelledBy

if TYPE_CHECKING:
    from types import TracebackType

    from rocket_core import Connection

_log = logging.getLogger("rocket_wsgi")

_AGAIN: Final = 1.0
"""Seconds after which the callback of a guard is called again while its block goes on."""

_PEEK: Final = 1.0
"""Seconds between looks at the client where the system does not tell that it has left."""

_LATE: Final = frozenset({Hold.OVERTAKEN, Hold.CUT})


class Cancellable(Protocol):
    """The response to a request, as far as its `Cancellation` deals with it.

    Attributes:
        over: whether the request has ended, so that nothing may use the connection for it.
    """

    over: bool

    def watch_client(self, told: Callable[[], None], /) -> bool:
        """Have ``told`` called when the client may have left; return whether it will be."""

    def unwatch_client(self) -> None:
        """Undo `watch_client`."""

    def find_end(self) -> CancelledBy | None:
        """Return why nothing can be sent any more; None: it can. Asks the socket, never waits."""


class _Call:
    """A callback that waits for the cancellation. The lock of the cancellation guards it.

    Attributes:
        callback: what is called.
        again: whether it is called again and again until it is withdrawn.
        due: when it is called next, by `time.monotonic`.
        calls: whether it is being called.
        called: whether it was ever called.
    """

    __slots__ = ("again", "callback", "called", "calls", "due")

    def __init__(self, callback: Callable[[], object], *, again: bool) -> None:
        self.callback: Final = callback
        self.again: Final = again
        self.due = 0.0
        self.calls = False
        self.called = False


@final
class Cancellation:
    """Whether the answer to one request is still wanted. Any thread may call any method."""

    def __init__(
        self,
        response: Cancellable,
        connection: Connection,
        lease: Lease | None,
        deadline: float,
    ) -> None:
        """Begin for the request that ``response`` answers; `begin` is to follow.

        ``lease`` is that of the request, and ``deadline`` when a proxy gives up, by
        `time.monotonic`, or infinite.
        """
        self._changed = Condition(Lock())
        self._response: Final = response
        self._server: Final = connection.server
        self._lease: Final = lease
        self._deadline: Final = deadline
        self._by: CancelledBy | None = None
        self._tells = True
        """Whether `look` is called when the client leaves."""
        self._calls: list[_Call] = []
        self._calling = False
        """Whether a thread makes the calls."""

    # -- how it ends -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to watch, and look for what has happened before."""
        with self._changed:
            if not self._response.over:
                self._tells = self._response.watch_client(self.look)
                self._set_alarm()
        lease = self._lease
        if lease is not None:
            # 1. The time is up, and the Monitor's thread looks whom to tell. 2. This thread leaves
            # word. 3. It looks whether that was too late.
            lease.late = self.late
            if lease.hold in _LATE:
                self.late()
        self.look()

    def look(self) -> None:
        """Look for a reason to cancel. Never waits, and never raises."""
        with self._changed:
            if self._by is not None:
                return
            if self._response.over:  # the connection may have another owner, and other watches
                self._settle(CancelledBy.END)
                return
            by = self._find_reason()
            if by is not None:
                self._settle(by)
            elif not self._tells:
                self._set_alarm()

    def late(self) -> None:
        """Cancel, since the request has taken longer than the server allows."""
        with self._changed:
            if self._by is None:
                self._settle(CancelledBy.TIMEOUT)

    def end(self) -> None:
        """Note that the request is over: only what is due already is still called.

        Called by the thread that serves the request, before it gives the connection away.
        """
        with self._changed:
            if self._by is None:
                self._settle(CancelledBy.END)
            if self._by is CancelledBy.END:
                self._response.unwatch_client()
                self._calls.clear()

    def _find_reason(self) -> CancelledBy | None:
        """With the lock: return why the answer is not wanted any more, or None."""
        if time.monotonic() >= self._deadline:
            return CancelledBy.DEADLINE
        return self._response.find_end()

    def _set_alarm(self) -> None:
        """With the lock: have the Monitor's thread call `look` when that is needed."""
        due = self._deadline
        if not self._tells:
            due = min(due, time.monotonic() + _PEEK)
        if due != inf:
            self._server.alarms.set(self, due)
            self._server.pool.rouse()

    def _settle(self, by: CancelledBy) -> None:
        """With the lock: end, once, for the reason ``by``."""
        self._by = by
        self._server.alarms.cancel(self)
        self._changed.notify_all()
        if by is not CancelledBy.END:
            self._response.unwatch_client()
            self._start_calling()

    # -- for the application ---------------------------------------------------------------------

    def is_set(self) -> bool:
        """Return whether the answer is not wanted any more."""
        if self._by is None and time.monotonic() >= self._deadline:
            self.look()
        return self._by is not None

    def wait(self, timeout: float | None) -> bool:
        """Wait for that, up to ``timeout`` seconds; return whether it is so."""
        until = inf if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._by is None:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(None if left == inf else left)
        return True

    def remaining(self) -> float | None:
        """Return the seconds until the earliest deadline, at least 0; None: there is no limit."""
        due = self._deadline
        lease, limit = self._lease, self._server.request_timeout
        if lease is not None and limit is not None and lease.hold is not Hold.OVER:
            due = min(due, lease.began + limit)
        return None if due == inf else max(due - time.monotonic(), 0.0)

    def raise_if(self) -> None:
        """Raise `Cancelled` if the answer is not wanted any more."""
        if self.is_set() and self._by is not None:
            raise Cancelled(self._by)

    def on(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called when that is so, on a thread of its own, once, or never."""
        self._add(_Call(callback, again=False))

    def guard(self, callback: Callable[[], object]) -> Guard:
        """Return a context manager within which ``callback`` is called when that is so."""
        return Guard(self, callback)

    # -- callbacks -------------------------------------------------------------------------------

    def _add(self, call: _Call) -> None:
        with self._changed:
            if self._by is CancelledBy.END:
                return
            self._calls.append(call)
            if self._by is not None:
                self._start_calling()

    def enter(self, callback: Callable[[], object]) -> _Call:
        """Begin a guarded block. Raises `Cancelled`."""
        self.raise_if()
        call = _Call(callback, again=True)
        # 1. This thread finds nothing. 2. The client leaves, and another thread cancels. 3. This
        # thread adds the call, and finds that out with the lock: it is called at once.
        self._add(call)
        return call

    def leave(self, call: _Call) -> CancelledBy | None:
        """End a guarded block; return why its callback was called, or None.

        Waits while it is being called: what the block has used may serve another request next.
        """
        with self._changed:
            if call in self._calls:
                self._calls.remove(call)
                self._changed.notify_all()
            while call.calls:
                self._changed.wait()
            return self._by if call.called else None

    def _start_calling(self) -> None:
        """With the lock: have a thread make the calls, unless one does or there are none."""
        if self._calling or not self._calls:
            return
        self._calling = True
        try:
            Thread(target=self._call_all, name="rocket-cancelled", daemon=True).start()
        except RuntimeError as error:  # the system has no thread to spare
            self._calling = False
            self._server.faults.report(_log, error, "callbacks of rocket.cancelled are not called")

    def _call_all(self) -> None:
        """Make the calls as they are due, until there are none. The thread of this runs it."""
        while (call := self._take_call()) is not None:
            try:
                call.callback()
            except BaseException as error:  # noqa: BLE001 - of the application's making
                self._server.faults.report(_log, error, "a callback of rocket.cancelled failed")
            with self._changed:
                call.calls = False
                call.due = time.monotonic() + _AGAIN
                self._changed.notify_all()

    def _take_call(self) -> _Call | None:
        """Wait for the next call that is due; None: there is none any more."""
        with self._changed:
            while self._calls:
                call = min(self._calls, key=_due)
                left = call.due - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                if not call.again:
                    self._calls.remove(call)
                call.calls = call.called = True
                return call
            self._calling = False
            return None


@final
class Guard:
    """A block of a view that a callback interrupts when the answer is not wanted any more.

    A context manager. Entering raises `Cancelled` if that is so already. In the block, the callback
    is called on a thread of its own, and again each second until the block ends: a database that
    has yet to begin with a statement would not cancel it. Leaving waits for a call that is being
    made, after which there is none. An exception that the block raises because of it, as the client
    of a database does, becomes the cause of a `Cancelled`.
    """

    __slots__ = ("_call", "_callback", "_cancellation")

    def __init__(self, cancellation: Cancellation, callback: Callable[[], object]) -> None:
        self._cancellation: Final = cancellation
        self._callback: Final = callback
        self._call: _Call | None = None

    def __enter__(self) -> None:
        """Begin the block. Raises `Cancelled`."""
        self._call = self._cancellation.enter(self._callback)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block. Raises `Cancelled` for an `Exception` if the callback was called."""
        del kind, traceback
        call, self._call = self._call, None
        by = None if call is None else self._cancellation.leave(call)
        if by is not None and isinstance(error, Exception) and not isinstance(error, Cancelled):
            cancelled = Cancelled(by)
            cancelled.__cause__ = error  # for which compiled code has no statement
            raise cancelled


def _due(call: _Call) -> float:
    return call.due

"""Every connection whose client has the next move.

Theory of operation
-------------------
Parked connections live in one dictionary, keyed by descriptor. Taking a connection out of it is
claiming it: that is atomic, and the thread that got it is its owner. So any thread may park, poll
and claim at any time, and there is no lock but that of the deadlines.

**Events are hints.** On Linux a socket that waits for reading is registered once, edge-triggered,
and stays registered, so an event may come while a worker owns the connection. An event for a
connection that is not parked leaves its descriptor in ``_missed``. A thread that parks a connection
looks there *after* parking it; a thread that has missed a connection looks for it once more *after*
leaving word. So one of the two finds it; the interleaving is at `Monitor._miss`.

**Listening sockets.** A listener may have the threads that poll accept for it (`Monitor.listen`).
Each poll reports its socket for as long as clients wait, so a thread that polls cannot miss them,
whatever came before; and the pool, which sees to it that some thread polls soon, does that for new
clients, too. What was accepted is claimed like all else.

**Ends.** A connection that is served is not parked, but its client may leave. Where the application
wants to know (`Monitor.watch_end`), an event for the socket, which stays registered, is passed on.
The thread that polls then has not become the owner of the connection, and does not touch it: it
makes a call, and what it calls has a lock that keeps the owner from giving the connection away. The
interleavings are at `Monitor.watch_end`.

**Deadlines.** While threads poll for as long as there is nothing, one of them returns at the next
deadline. ``_returns`` holds when each of them will. A deadline before all others wakes one thread
only. A thread that returns early, with what it claimed or with the wake-up alone, may do something
else than poll again, so it wakes another thread unless one of them knows of that deadline.

Descriptors are used again by the system as soon as they are closed. A thread that has parked a
connection may therefore not touch its descriptor any more, but for a call that fails or is in vain
when it meets another connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import Final

from rocket_core._connection.connection import Connection
from rocket_core._connection.end_watch import Watchable
from rocket_core._engine.deadlines import Deadlines
from rocket_core._native_classes import mypyc_attr
from rocket_core._state import State
from rocket_core._system.poller import READ, WRITE, Poller, default_poller

BATCH: Final = 64
"""Connections claimed by one poll."""

_RECHECK: Final = 5.0
"""Seconds until the Monitor looks again at a connection that a worker owns."""

_LONGEST_POLL: Final = 86400.0
"""Seconds that every system call takes; a deadline may be further away."""

_INTEREST: Final = {
    State.HANDSHAKE: READ,
    State.IDLE: READ,
    State.HEAD: READ,
    State.BODY: READ,
    State.SHARED: READ,  # and WRITE, as `Engine` asks for by ``wants``, while output waits
    State.SENDING: WRITE,
    State.LINGER: READ,
}


_IDLE: Final = State.IDLE  # an attribute of an enum costs a search


@mypyc_attr(allow_interpreted_subclasses=True)
class Monitor:
    """Holds parked connections and tells which have become ready, or have run out of time.

    Any thread may call any method; `forget` and `park` only for a connection that it owns.
    """

    def __init__(self, poller: Poller | None = None) -> None:
        self._poller = default_poller() if poller is None else poller
        self._parked: dict[int, Connection] = {}
        self._listening: dict[int, Callable[[], list[Connection]]] = {}
        self._missed: set[int] = set()
        self._watched: dict[int, Callable[[], None]] = {}
        """What is told of events for connections that are served."""
        self._deadlines = Deadlines()
        self._returns: list[float] = []

    def __len__(self) -> int:
        return len(self._parked)

    def park(self, connection: Connection) -> None:
        """Take ``connection`` from the caller, which has owned it until now."""
        descriptor = connection.descriptor
        deadline = connection.deadline
        if deadline < connection.watched_at and self._deadlines.watch(connection, deadline):
            self._announce()
        interest = READ if connection.state is _IDLE else _INTEREST[connection.state]
        if connection.wants:
            interest, connection.wants = connection.wants, 0
        if not connection.armed:
            connection.armed = True
            connection.lasting = interest == READ and self._poller.lasting
            # 1. A request is there already. 2. The socket is registered, and reported at once.
            # 3. The connection is parked. In this order the event would mostly be missed, and found
            # again at some cost; so the connection is parked first.
            self._parked[descriptor] = connection
            self._arm(descriptor, interest, first=True)
            return
        if not (connection.lasting and connection.drained and interest == READ):
            self._arm_again(connection, interest)
        self._parked[descriptor] = connection
        # Looked at after parking, as the thread that misses an event looks after leaving word: see
        # `_miss`.
        while descriptor in self._missed and self.claim(connection):
            self._arm_again(connection, interest)
            self._parked[descriptor] = connection

    def _arm_again(self, connection: Connection, interest: int) -> None:
        """Arm a connection that the caller still owns.

        Once it is parked, its descriptor may become another connection's.
        """
        connection.lasting = interest == READ and self._poller.lasting
        self._missed.discard(connection.descriptor)
        self._arm(connection.descriptor, interest, first=False)

    def _arm(self, descriptor: int, interest: int, *, first: bool) -> None:
        try:
            self._poller.arm(descriptor, interest, first=first)
        except (OSError, ValueError):
            # The connection was claimed and closed meanwhile, or the server has stopped.
            return

    def claim(self, connection: Connection) -> bool:
        """Take ``connection`` back; return False when it is not parked: another thread owns it."""
        parked = self._parked.pop(connection.descriptor, None)
        if parked is connection:
            return True
        if parked is not None:
            # 1. Another thread has claimed and closed it. 2. The system gives its descriptor to a
            # new connection, which is parked. 3. The new connection was taken out, and is put back.
            self.park(parked)
        return False

    def parked(self) -> list[Connection]:
        """Return the parked connections; any thread may claim any of them meanwhile."""
        return list(self._parked.values())

    def claim_all(self) -> list[Connection]:
        """Take back every parked connection."""
        claimed = []
        now = time.monotonic()
        for descriptor in list(self._parked):
            connection = self._parked.pop(descriptor, None)
            if connection is not None:
                connection.claimed_at = now
                claimed.append(connection)
        return claimed

    # -- the ends of connections that are served -------------------------------------------------

    def watch_end(self, connection: Watchable, told: Callable[[], None], /) -> bool:
        """Have ``told`` called when the client may have left, until `unwatch_end`: see `EndWatch`.

        The end is not missed: 1. The client leaves, and a thread that polls finds nothing to be
        told of it. 2. ``told`` is noted here. 3. The caller looks once, and finds the end. Had the
        client left after the second step, ``told`` would be called.

        Nor is another connection taken for this one: 1. A thread that polls has found ``told``, and
        is about to call it. 2. The request ends, `unwatch_end` is called, and the descriptor
        becomes another connection's. 3. ``told`` is called, and finds that the request is over. So
        what it looks at has a lock, under which the watch is ended as well.
        """
        self._watched[connection.descriptor] = told
        if not self._poller.lasting:
            return False
        if not (connection.armed and connection.lasting):
            first = not connection.armed
            connection.armed = connection.lasting = True
            self._arm(connection.descriptor, READ, first=first)
        return True

    def unwatch_end(self, connection: Watchable, /) -> None:
        """End the watch, if there is one."""
        self._watched.pop(connection.descriptor, None)

    def tell_ends(self) -> None:
        """Have all that is told of ends look now, where perhaps no thread polls any more."""
        for told in list(self._watched.values()):
            told()

    def listen(
        self, descriptor: int, accept: Callable[[], list[Connection]], *, exclusive: bool
    ) -> None:
        """Have the thread that polls call ``accept`` while clients wait, until `ignore`.

        ``accept`` never waits and never raises, and returns connections that are not parked; the
        caller of `poll` owns them then. Several threads may call it at once, and perhaps after
        `ignore`. ``exclusive``: see `Poller.watch`.
        """
        self._listening[descriptor] = accept
        self._poller.watch(descriptor, exclusive=exclusive)

    def queue_behind(self, descriptor: int) -> None:
        """Have clients wake the other processes that listen before they wake this one again."""
        self._poller.unwatch(descriptor)
        self._poller.watch(descriptor, exclusive=True)

    def ignore(self, descriptor: int) -> None:
        """End what `listen` has begun, before the descriptor is closed.

        It must be: the system goes on reporting a socket that another process has open as well.
        """
        self._poller.unwatch(descriptor)
        self._listening.pop(descriptor, None)

    def poll(self, timeout: float | None) -> list[Connection]:
        """Wait up to ``timeout`` seconds (None: for ever) and claim what has become ready.

        Returns earlier, perhaps with nothing, when a deadline falls due or `wake` is called.
        """
        due = self._deadlines.next
        if timeout is None:
            events = self._poll_on(due)
        else:
            events = self._poller.poll(min(timeout, _until(due)), BATCH)
            # 1. A worker polls without limit. 2. A deadline comes first, which sends a wake-up.
            # 3. This thread, which polls for a moment only, takes it. 4. The worker gets a new one.
            self._announce()
        if not events:
            return []
        now = time.monotonic()
        pop = self._parked.pop
        claimed = []
        accepts = []
        for descriptor, event in events:
            connection = pop(descriptor, None)
            if connection is None:
                accept = self._listening.get(descriptor)
                if accept is not None:
                    accepts.append(accept)
                    continue
                connection = self._miss(descriptor)
                if connection is None:
                    if event != READ and (told := self._watched.get(descriptor)) is not None:
                        told()
                    continue
            connection.claimed_at = now
            connection.drained = False  # until it is read, which perhaps it is not
            if event != READ:
                connection.lasting = False  # the end of the stream may follow what is read
            claimed.append(connection)
        for accept in accepts:  # last, as it can take a moment: what is ready is claimed by then
            claimed += accept()
        return claimed

    def _poll_on(self, due: float) -> list[tuple[int, int]]:
        """Poll until something is ready, or until the first deadline, which is ``due``."""
        returns = self._returns
        returns.append(due)
        # 1. This thread has looked at the first deadline. 2. Another thread brings an earlier one,
        # finds no thread in `_returns`, and wakes none. 3. This thread leaves word there, and looks
        # at the first deadline once more, before it sleeps.
        while self._deadlines.next < due:
            returns.remove(due)
            due = self._deadlines.next
            returns.append(due)
        try:
            events = self._poller.poll(None if due == inf else _until(due), BATCH)
        finally:
            returns.remove(due)
        # 1. Threads A and B poll without limit. 2. A deadline comes first, which wakes A alone.
        # 3. A takes the wake-up, and then serves, sleeps or ends, because there is a request in the
        # queue or the pool has a thread too many. 4. So B gets a wake-up, too. A thread whose time
        # was up has taken none; it calls `expired`, which announces the next deadline.
        if (
            returns
            and (events or time.monotonic() < due)
            and self._deadlines.next < min(returns.copy(), default=-inf)
        ):
            self._poller.wake()
        return events

    def _announce(self) -> None:
        """Wake a thread that polls without limit, unless a polling thread knows the deadline.

        A thread that is about to poll leaves word in ``_returns`` before it looks at the next
        deadline for the last time: either it sees the deadline, or it is seen here.
        """
        returns = self._returns
        if returns and self._deadlines.next < min(returns.copy(), default=-inf):
            self._poller.wake()

    def _miss(self, descriptor: int) -> Connection | None:
        """Leave word for the owner of a connection that there was an event; claim it if it is back.

        1. This thread finds the connection not parked. 2. Its owner parks it, and finds no word.
        3. This thread leaves word, which would stay unread. 4. So it looks for the connection once
        more. Had the owner parked after the third step, it would have found the word.
        """
        self._missed.add(descriptor)
        return self._parked.pop(descriptor, None)

    def expired(self) -> list[Connection]:
        """Claim the connections whose deadline has passed."""
        now = time.monotonic()
        if now < self._deadlines.next:
            return []
        claimed = []
        for connection in self._deadlines.due(now):
            if connection.state is State.CLOSED:
                continue
            if connection.deadline > now:
                if connection.deadline != inf:  # the time that was limited before is over
                    self._deadlines.watch(connection, connection.deadline)
            elif self.claim(connection):
                if connection.deadline > now:
                    # A worker owned it, and parked it between the look and the claim.
                    self.park(connection)
                else:
                    claimed.append(connection)
            else:
                # A worker owns the connection. The worker may be about to park it with a deadline
                # that relies on the watch just ended, so the connection stays watched.
                self._deadlines.watch(connection, now + _RECHECK)
        # 1. This thread takes the only bucket: there is no next deadline. 2. A worker begins to
        # poll without limit. 3. This thread has a connection watched again, whose deadline is the
        # first now. 4. The worker is told here.
        self._announce()
        return claimed

    def forget(self, connection: Connection) -> None:
        """Forget ``connection``, which the caller owns and is about to close."""
        self._missed.discard(connection.descriptor)
        if connection.watched_at != inf:
            self._deadlines.forget(connection)

    def wake(self) -> None:
        """Make one poll return. Any thread and any signal handler may call this."""
        self._poller.wake()

    def let_go(self) -> None:
        """In a process that the application forked: close the copies that it has inherited."""
        self._deadlines = Deadlines()  # another thread may have held its lock
        self._poller.close()

    def close(self) -> None:
        """Release the poller's descriptors."""
        self._poller.close()


def _until(due: float) -> float:
    """Seconds until ``due``, as a system call takes them."""
    return min(max(due - time.monotonic(), 0.0), _LONGEST_POLL)

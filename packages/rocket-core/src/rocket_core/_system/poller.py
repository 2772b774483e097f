"""Readiness of descriptors: each event is reported once, to one thread.

A descriptor that is armed for writing is disarmed by its event. A descriptor that is armed for
reading stays armed where the system can report arrivals (Linux: edge-triggered epoll), so that a
busy connection is not armed again for every request; elsewhere it is disarmed, too.

A listening socket is another matter (`Poller.watch`): each poll reports it for as long as clients
wait to be accepted, so that no event of it can be lost. Several threads may be told of one client.

Any thread may call any method at any time before `close`. Several threads may be in `poll`. What
makes that safe:

- The kernel keeps the set of descriptors, and arming does not wake a thread that polls. Only
  `SelectorPoller` keeps it in Python, under a lock, and wakes its thread.
- An event may come to two threads. 1. Thread A polls and gets an event for a connection. 2. Its
  owner parks it again, and the same event is reported to thread B. 3. Only one of the two can claim
  the connection (`Monitor.claim`). For the other it is not parked, which the Monitor remembers.
- A descriptor's number may be used again. 1. Thread A polls and gets an event for descriptor 7. 2.
  Its owner closes it, and the next connection gets the number 7. 3. A looks up descriptor 7. Hence
  an event is a hint only: the thread that claims a connection finds nothing to read, and parks it.
"""

from __future__ import annotations

import select
import selectors
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final, Protocol

from rocket_core._system.waker import Waker

READ: Final = 1
"""An interest in that the socket can be read from."""
WRITE: Final = 2
"""An interest in that the socket can be written to."""
ENDS: Final = 8
"""No interest but in what ends the connection, such as a reset, where the platform tells."""


class Poller(Protocol):
    """The interface of all pollers, of which the Monitor has one.

    Attributes:
        lasting: whether a descriptor armed for READ is reported whenever something arrives, until
            it is armed for something else.
    """

    lasting: bool

    def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
        """Report ``descriptor`` once, when it is, or becomes, ready for ``interest``.

        ``interest`` is READ, WRITE, both, or ENDS. With `lasting`, READ goes on being reported.
        ``first`` says that the descriptor was never armed since it was opened. Raises `OSError`
        when the descriptor was closed meanwhile.
        """

    def watch(self, descriptor: int, *, exclusive: bool) -> None:
        """Report a listening socket in every poll while clients wait, until `unwatch`.

        ``exclusive``: other processes may do the same, and where the system can, a client is to
        wake one of them only. A poll that such a client has ended must lead to an accept, since
        perhaps no other process was woken.
        """

    def unwatch(self, descriptor: int) -> None:
        """Report a listening socket no more. It may be one that is not watched."""

    def poll(self, timeout: float | None, limit: int) -> list[tuple[int, int]]:
        """Wait up to ``timeout`` seconds (None: without limit) for up to ``limit`` events.

        The result is a list of (descriptor, events), where the events are hints of the platform's
        own kind; READ alone says that something arrived and that nothing else happened. The list
        may be empty, or contain descriptors that the caller does not know.
        """

    def wake(self) -> None:
        """Make one present or the next `poll` return at once. Safe in a signal handler."""

    def close(self) -> None:
        """Close the descriptors. No thread may poll any more."""


if sys.platform == "linux":
    _EPOLL_INTEREST: Final = {
        READ: select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET,
        WRITE: select.EPOLLOUT | select.EPOLLONESHOT,
        READ | WRITE: select.EPOLLIN | select.EPOLLOUT | select.EPOLLONESHOT,
        ENDS: select.EPOLLONESHOT,  # errors, and the end of both directions, are always reported
    }

    class EpollPoller:
        """The poller of Linux: edge-triggered for reading, ``EPOLLONESHOT`` otherwise.

        ``EPOLLIN`` has the value of READ.
        """

        lasting = True

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._waker = Waker()
            self._awakening = (self._waker.descriptor, select.EPOLLIN)
            # Edge-triggered: each `wake` is reported to one of the threads that poll. 1. `wake`
            # comes before any thread polls. 2. The next `epoll_wait` reports it. 3. The thread
            # clears the waker. A `wake` between 2 and 3 is cleared with it, and serves the same
            # thread.
            self._epoll.register(self._waker.descriptor, select.EPOLLIN | select.EPOLLET)

        def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
            if first:
                self._epoll.register(descriptor, _EPOLL_INTEREST[interest])
            else:
                self._epoll.modify(descriptor, _EPOLL_INTEREST[interest])

        def watch(self, descriptor: int, *, exclusive: bool) -> None:
            # A process in which no thread polls is passed over by the system: the client wakes
            # another one, or is found by the first poll of any of them. What was registered first
            # is woken first.
            self._epoll.register(
                descriptor, select.EPOLLIN | (select.EPOLLEXCLUSIVE if exclusive else 0)
            )

        def unwatch(self, descriptor: int) -> None:
            with suppress(OSError, ValueError):  # not watched; closed
                self._epoll.unregister(descriptor)

        def poll(self, timeout: float | None, limit: int) -> list[tuple[int, int]]:
            events = self._epoll.poll(timeout, limit)
            if self._awakening in events:
                events.remove(self._awakening)
                self._waker.clear()
            return events

        def wake(self) -> None:
            self._waker.set()

        def close(self) -> None:
            self._epoll.close()
            self._waker.close()


if sys.platform != "linux" and sys.platform != "win32":  # pragma: no cover - BSD and macOS

    class KqueuePoller:
        """The poller of BSD and macOS: ``EV_ONESHOT`` removes a filter after its event."""

        lasting = False

        def __init__(self) -> None:
            self._kqueue = select.kqueue()
            self._waker = Waker()
            self._watch(self._waker.descriptor, READ)

        def _watch(self, descriptor: int, interest: int) -> None:
            flags = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
            changes = []
            if interest & READ:
                changes.append(select.kevent(descriptor, select.KQ_FILTER_READ, flags))
            if interest & WRITE:
                changes.append(select.kevent(descriptor, select.KQ_FILTER_WRITE, flags))
            self._kqueue.control(changes, 0, 0)

        def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
            del first
            self._watch(descriptor, interest)

        def watch(self, descriptor: int, *, exclusive: bool) -> None:
            del exclusive
            self._listen(descriptor, select.KQ_EV_ADD)

        def unwatch(self, descriptor: int) -> None:
            with suppress(OSError, ValueError):  # not watched; closed
                self._listen(descriptor, select.KQ_EV_DELETE)

        def _listen(self, descriptor: int, flags: int) -> None:
            event = select.kevent(descriptor, select.KQ_FILTER_READ, flags)
            self._kqueue.control([event], 0, 0)

        def poll(self, timeout: float | None, limit: int) -> list[tuple[int, int]]:
            found = []
            for event in self._kqueue.control(None, limit, timeout):
                if event.ident == self._waker.descriptor:
                    self._waker.clear()
                    self._watch(self._waker.descriptor, READ)
                else:
                    found.append((event.ident, READ | WRITE))
            return found

        def wake(self) -> None:
            self._waker.set()

        def close(self) -> None:
            self._kqueue.close()
            self._waker.close()


class SelectorPoller:
    """A poller for any platform: each call makes a selector, and every event disarms.

    Portable selectors do not allow the set of descriptors to change while a thread waits. Therefore
    arming wakes the thread that waits, and only one thread waits at a time.

    ``_lock`` guards ``_interests`` and ``_listening``. ``_turn`` is held by the thread that waits;
    others wait for it.
    """

    lasting = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._interests: dict[int, int] = {}
        self._listening: set[int] = set()
        self._waker = Waker()

    def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
        del first
        if descriptor < 0:
            raise OSError("closed")
        with self._lock:
            if interest == ENDS:
                self._interests.pop(descriptor, None)
            else:
                self._interests[descriptor] = interest
        self.wake()

    def watch(self, descriptor: int, *, exclusive: bool) -> None:
        del exclusive
        with self._lock:
            self._listening.add(descriptor)
        self.wake()

    def unwatch(self, descriptor: int) -> None:
        with self._lock:
            self._listening.discard(descriptor)

    def poll(self, timeout: float | None, limit: int) -> list[tuple[int, int]]:
        until = inf if timeout is None else time.monotonic() + timeout
        if not self._turn.acquire(timeout=-1 if timeout is None else timeout):
            return []
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._waker.descriptor, selectors.EVENT_READ)
                with self._lock:
                    self._register_all(selector)
                # 1. Thread A waits in the selector, and thread B for its turn, until a deadline.
                # 2. A returns shortly before that deadline. 3. B may wait for the rest only.
                left = None if until == inf else max(until - time.monotonic(), 0.0)
                ready = selector.select(left)
            return self._collect(ready[: limit + 1])
        finally:
            self._turn.release()

    def _register_all(self, selector: selectors.BaseSelector) -> None:
        for descriptor, interest in list(self._interests.items()):
            try:
                selector.register(descriptor, interest)
            except (OSError, ValueError):
                del self._interests[descriptor]
        for descriptor in self._listening:
            with suppress(OSError, ValueError):  # closed
                selector.register(descriptor, selectors.EVENT_READ)

    def _collect(self, ready: list[tuple[selectors.SelectorKey, int]]) -> list[tuple[int, int]]:
        found = []
        with self._lock:
            for key, events in ready:
                if key.fd == self._waker.descriptor:
                    self._waker.clear()
                elif key.fd in self._listening or self._interests.pop(key.fd, None) is not None:
                    found.append((key.fd, events))
        return found

    def wake(self) -> None:
        self._waker.set()

    def close(self) -> None:
        self._waker.close()


default_poller: Callable[[], Poller]
"""The class of the best poller of this platform."""
if sys.platform == "linux":
    default_poller = EpollPoller
elif sys.platform == "win32":  # pragma: no cover - Windows
    default_poller = SelectorPoller
else:  # pragma: no cover - BSD and macOS
    default_poller = KqueuePoller

"""An event for which the main thread can wait without missing a signal.

Python runs signal handlers on the main thread, between two of its instructions. A main thread that
waits for a lock executes none: a signal that another thread receives, or that arrives just before
the wait begins, would only be handled when something else ends the wait. Hence the main thread
waits for a descriptor to which the interpreter writes as soon as a signal arrives
(`signal.set_wakeup_fd`).

How `set`, on any thread, meets `wait`, on the main thread:

- 1. `set` sets the event, and finds no waker. 2. `wait` makes one. 3. `wait` looks at the event
  before it waits: it does not wait at all.
- 1. `wait` has made its waker, and looks at the event. 2. `set` sets the event, and the waker. 3.
  `wait` selects: the waker is readable already.
- 1. `set` has read the waker. 2. `wait` times out, and closes it. 3. The waker ignores `set`, or if
  `set` is about to write, stays open until it has written (see `Waker`).

A signal handler that waits itself, while the main thread waits, finds the descriptor of the outer
wait installed, and waits for the event alone.
"""

from __future__ import annotations

import selectors
import signal
import threading
import time
from math import inf

from rocket_core._system.waker import Waker

_NO_DESCRIPTOR = -1


class SignalSafeEvent:
    """An event that any thread may set, and any thread may wait for.

    While the main thread waits, signals are handled at once, unless the application has installed a
    descriptor of its own (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._waker: Waker | None = None

    def set(self) -> None:
        """Set the event, for ever."""
        self._event.set()
        waker = self._waker
        if waker is not None:
            waker.set()

    def let_go(self) -> None:
        """Let signals to a process that the application has forked not wake its parent."""
        waker, self._waker = self._waker, None
        if waker is not None:
            signal.set_wakeup_fd(_NO_DESCRIPTOR)
            waker.close()

    def wait(self, timeout: float | None) -> bool:
        """Wait up to ``timeout`` seconds (None: without limit); return whether the event is set."""
        if threading.current_thread() is not threading.main_thread():
            return self._event.wait(timeout)
        waker = Waker()
        try:
            before = signal.set_wakeup_fd(waker.writer, warn_on_full_buffer=False)
            if before != _NO_DESCRIPTOR:
                signal.set_wakeup_fd(before)
                return self._event.wait(timeout)
            self._waker = waker
            try:
                return self._wait_for(waker, inf if timeout is None else timeout)
            finally:
                self._waker = None
                signal.set_wakeup_fd(_NO_DESCRIPTOR)
        finally:
            waker.close()

    def _wait_for(self, waker: Waker, timeout: float) -> bool:
        until = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(waker.descriptor, selectors.EVENT_READ)
            while not self._event.is_set():
                left = until - time.monotonic()
                if left <= 0:
                    return False
                selector.select(None if left == inf else left)
                waker.clear()
        return True

"""Waiting for an end without missing a signal."""

from __future__ import annotations

import selectors
import signal
import threading
import time
from math import inf

from rocket_core._system.waker import Waker

_NO_DESCRIPTOR = -1


class SignalSafeEvent:
    """The end of something. Any thread may wait for it, and any thread may bring it about.

    Python's signal handlers run on the main thread, and only once something wakes it: a signal that
    another thread receives, or that comes just before the main thread begins to wait for a lock,
    wakes nobody. So the main thread waits for a descriptor that the interpreter writes to the
    moment a signal arrives (`signal.set_wakeup_fd`), unless the application has one of its own.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._waker: Waker | None = None

    def set(self) -> None:
        """Bring it about."""
        self._event.set()
        waker = self._waker
        if waker is not None:
            waker.set()

    def let_go(self) -> None:
        """In a process that the application forked: a signal to it is no signal to its parent."""
        waker, self._waker = self._waker, None
        if waker is not None:
            signal.set_wakeup_fd(_NO_DESCRIPTOR)
            waker.close()

    def wait(self, timeout: float | None) -> bool:
        """Wait up to ``timeout`` seconds (None: for ever); whether it has come."""
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

"""The signals of the original Rocket: SIGTERM stops the server, SIGUSR1 restarts it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any


class StopAndRestartSignals:
    """Handlers for SIGTERM and SIGUSR1. Only the main thread can install and remove them."""

    def __init__(self, stop: Callable[[], None], restart: Callable[[], None]) -> None:
        """Call ``stop`` for SIGTERM, and ``restart`` for SIGUSR1 on systems that have it."""
        self._handlers = {"SIGTERM": stop, "SIGUSR1": restart}
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Install the handlers. Nothing happens on a thread other than the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for name, call in self._handlers.items():
            number = getattr(signal, name, None)
            if number is not None:
                self._before[number] = signal.signal(number, lambda *_, call=call: call())

    def remove(self) -> None:
        """Install the earlier handlers again. Nothing happens on another thread."""
        if threading.current_thread() is threading.main_thread():
            while self._before:
                signal.signal(*self._before.popitem())

"""Signals as a sequence of events, and how a worker process obeys them.

Theory of operation. The interpreter writes the number of each signal to a socket pair at the moment
when the signal arrives, on any thread (`signal.set_wakeup_fd`). A thread that reads the other end
handles the signals one after the other. The handlers in Python do nothing: they would run on the
main thread only, and in the middle of any code, such as code that holds the lock of a log.

The end of the server is written to the same socket pair, as number 0. So one thread waits for
whichever comes first, and both have a place in one order.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import Any, Final

from rocket_core import Server

ENDING: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""The signals that end a process."""
_SPARED: Final = (signal.SIGHUP, signal.SIGUSR1)
"""The signals that a worker catches unless the application handles them."""
_UNHANDLED: Final = (signal.SIG_DFL, signal.SIG_IGN)
_USUAL: Final = (signal.SIG_DFL, signal.default_int_handler)
_ENDED: Final = 0  # no signal has this number
_log = logging.getLogger("rocket_cli")

TWICE: Final = 1.0
"""Seconds after the first SIGTERM within which a second one orders nothing."""


class Order(Enum):
    """What a SIGTERM orders."""

    DRAIN = "to end when the requests in flight have finished"
    NOTHING = "nothing beyond the order before"
    STOP = "to end at once"


Renewal = Callable[[], None]
"""Carries out what a signal other than `ENDING` orders."""


class Terminations:
    """Tells whether a SIGTERM is a second order, or the first one, which was sent twice.

    A program that signals a process, and then the group of the process, sends it two: timeout(1) is
    one. The second signal must not cut off what the first one lets finish.
    """

    def __init__(self) -> None:
        self._first: float | None = None

    def arrived(self) -> Order:
        """Note that a SIGTERM has arrived; return what it orders."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
            return Order.DRAIN
        return Order.NOTHING if now - self._first < TWICE else Order.STOP


class Events:
    """Signals and the end of the server, in the order in which they arrive."""

    def __init__(
        self, caught: Collection[int], reader: socket.socket, writer: socket.socket
    ) -> None:
        """Read signal numbers from ``reader``; only those in ``caught`` are reported."""
        self._caught = caught
        self._reader = reader
        self._writer = writer

    def fileno(self) -> int:
        """Return a descriptor that is readable while there are events."""
        return self._reader.fileno()

    def wait(self) -> signal.Signals | None:
        """Wait for the next signal, and return it; None means that the server has ended."""
        while (number := self._reader.recv(1)[0]) != _ENDED:
            if number in self._caught:  # the application may handle others
                return signal.Signals(number)
        return None

    def take(self) -> list[signal.Signals]:
        """Return the signals that have arrived, without waiting."""
        try:
            numbers = self._reader.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in numbers if number in self._caught]

    @contextmanager
    def obeyed(self, obey: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Call ``obey``, on another thread, for each signal of `ENDING` that arrives in this block.

        The main thread may be in code that no Python handler can interrupt, such as the import of
        an extension module. Other signals are kept until the end of the block.
        """
        missed = bytearray()
        over = allocate_lock()  # released when the other thread has ended
        over.acquire()

        def watch() -> None:
            numbers = b""
            while _ENDED not in numbers:
                numbers = self._reader.recv(4096)
                for number in numbers.partition(b"\0")[0]:
                    if number in ENDING:
                        obey(signal.Signals(number))
                missed.extend(number for number in numbers if number != _ENDED)
            over.release()

        # 1. The main thread is about to leave the block, and calls `end`, which writes the mark 0.
        # 2. A signal arrives at the same time. If its number comes before the mark, it is obeyed;
        #    ``obey`` ends the process, so the lock is not released.
        # 3. If it comes after the mark, it is in ``missed``, which is written back to the socket,
        #    so the signal is the next event after the block.
        #
        # The code in the block may replace the threads of `threading` (gevent, eventlet), and could
        # then wait for this one for ever. It does not know of a thread of `_thread`.
        start_new_thread(watch, ())
        try:
            yield
        finally:
            self.end()
            over.acquire()
            # The code in the block, an event loop for instance, may have set another descriptor.
            signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            self._writer.send(missed)

    def end(self) -> None:
        """Report that the server has ended. Any thread may call this."""
        self._writer.send(bytes([_ENDED]))


@contextmanager
def caught_signals(
    numbers: Collection[signal.Signals] = ENDING,
    spared: Collection[signal.Signals] = _SPARED,
    ignored: Collection[signal.Signals] = (),
) -> Iterator[Events]:
    """Catch signals until the end of the block, which must be entered on the main thread.

    Signals in ``spared`` are caught unless the application handles them. At the end of the block,
    and in forked processes, all signals have their previous effects again. Therefore a signal can
    still end a process whose exit is delayed by threads of the application. Only those of
    ``numbers`` that are in ``ignored``, too, have no effect after the block, unless the application
    handles them.
    """
    effects: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, effect in effects.items():
            signal.signal(number, effect)

    with ExitStack() as stack:
        reader, writer = map(stack.enter_context, socket.socketpair())
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, before)
        caught = {*numbers, *(n for n in spared if signal.getsignal(n) in _UNHANDLED)}
        stack.callback(restore)
        for number in caught:
            effects[number] = signal.signal(number, lambda *_: None)
        os.register_at_fork(after_in_child=stack.close)
        yield Events(caught, reader, writer)
        for number in ignored:
            if effects[number] in _USUAL:
                effects[number] = signal.SIG_IGN


def wait_for_end(
    server: Server,
    events: Events,
    drain: Callable[[], None],
    renewals: Mapping[signal.Signals, Renewal],
) -> None:
    """Obey signals until ``server`` has ended.

    SIGTERM calls ``drain``; SIGINT, SIGQUIT and a second SIGTERM (see `Terminations`) stop the
    server at once. Each signal in ``renewals`` calls its function.
    """

    def watch() -> None:
        server.wait()
        events.end()

    threading.Thread(target=watch, name="rocket-end", daemon=True).start()
    terminations = Terminations()
    while event := events.wait():
        if event in renewals:
            renewals[event]()
            continue
        order = terminations.arrived() if event is signal.SIGTERM else Order.STOP
        if order is Order.DRAIN:
            drain()
        elif order is Order.STOP and event in ENDING:
            server.stop()

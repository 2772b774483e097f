"""Signals, one after the other, and what they do to a process that serves."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from rocket_core import Server

ENDING: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_SPARED: Final = (signal.SIGHUP, signal.SIGUSR1)
_UNHANDLED: Final = (signal.SIG_DFL, signal.SIG_IGN)
_ENDED: Final = 0  # the number of no signal
_log = logging.getLogger("rocket_cli")

Renewal = Callable[[], None]


class Events:
    """Signals and the end of the server, in the order in which they come.

    A byte for each goes through a pair of sockets, because that cannot be lost: the interpreter
    writes a signal's number the moment the signal arrives, on whatever thread. A handler written in
    Python, in contrast, runs on the main thread, only once something wakes it, and must not log:
    the line that it interrupts may hold the stream.
    """

    def __init__(
        self, caught: Collection[int], reader: socket.socket, writer: socket.socket
    ) -> None:
        self._caught = caught
        self._reader = reader
        self._writer = writer

    def fileno(self) -> int:
        """A descriptor that is readable when there are any."""
        return self._reader.fileno()

    def wait(self) -> signal.Signals | None:
        """The next signal; None: the server has ended."""
        while (number := self._reader.recv(1)[0]) != _ENDED:
            if number in self._caught:  # the application may handle others
                return signal.Signals(number)
        return None

    def take(self) -> list[signal.Signals]:
        """The signals that have come, without waiting."""
        try:
            numbers = self._reader.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in numbers if number in self._caught]

    @contextmanager
    def obeyed(self, obey: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Have ``obey`` called at a signal that ends the process, on another thread.

        So that is done while the main thread is elsewhere, in code that no handler can interrupt.
        Other signals wait until then.
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

        # 1. The main thread is about to leave; 2. a signal comes. If its number is before the mark
        # that `end` writes, it is obeyed, and the lock is never released. If it is behind, it is
        # put back, like all that was missed, and is taken next.
        #
        # What runs meanwhile may replace the threads of `threading` by others (gevent, eventlet),
        # which then wait for this one in vain. It knows nothing of a thread of `_thread`.
        start_new_thread(watch, ())
        try:
            yield
        finally:
            self.end()
            over.acquire()
            # What ran meanwhile, an event loop for instance, may have taken it.
            signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            self._writer.send(missed)

    def end(self) -> None:
        """The server has ended. Any thread may call this."""
        self._writer.send(bytes([_ENDED]))


@contextmanager
def caught_signals(
    numbers: Collection[signal.Signals] = ENDING, spared: Collection[signal.Signals] = _SPARED
) -> Iterator[Events]:
    """Catch signals, on the main thread. At the end they do again what they did before.

    Those in ``spared`` are caught unless the application handles them.

    So a signal can still end a process that is kept from exiting by threads of the application, and
    a process that is forked.
    """
    with ExitStack() as stack:
        reader, writer = map(stack.enter_context, socket.socketpair())
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, before)
        caught = {*numbers, *(n for n in spared if signal.getsignal(n) in _UNHANDLED)}
        for number in caught:
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: None))
        os.register_at_fork(after_in_child=stack.close)
        yield Events(caught, reader, writer)


def wait_for_end(
    server: Server,
    events: Events,
    drain: Callable[[], None],
    renewals: Mapping[signal.Signals, Renewal],
) -> None:
    """Return when ``server`` has ended.

    At SIGTERM ``drain`` is called; SIGINT, SIGQUIT and a second SIGTERM stop the server. At another
    signal its renewal is called.
    """

    def watch() -> None:
        server.wait()
        events.end()

    threading.Thread(target=watch, name="rocket-end", daemon=True).start()
    draining = False
    while event := events.wait():
        if event in renewals:
            renewals[event]()
        elif event is signal.SIGTERM and not draining:
            draining = True
            drain()
        elif event in ENDING:
            server.stop()

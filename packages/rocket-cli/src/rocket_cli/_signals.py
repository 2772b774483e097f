"""Ending a server by signals."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from rocket_core import Server

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_ENDED: Final = 0  # the number of no signal
_log = logging.getLogger("rocket_cli")


class Events:
    """SIGINT, SIGTERM and the end of the server, in the order in which they come.

    A byte for each goes through a pair of sockets, because that cannot be lost: the interpreter
    writes a signal's number the moment the signal arrives, on whatever thread. A handler written in
    Python, in contrast, runs on the main thread, and only once something wakes it.
    """

    def __init__(self, reader: socket.socket, writer: socket.socket) -> None:
        self._reader = reader
        self._writer = writer

    def wait(self) -> signal.Signals | None:
        """The next signal; None: the server has ended."""
        while (number := self._reader.recv(1)[0]) != _ENDED:
            if number in _SIGNALS:  # the application may handle others
                return signal.Signals(number)
        return None

    def end(self) -> None:
        """The server has ended. Any thread may call this."""
        self._writer.send(bytes([_ENDED]))


@contextmanager
def caught_signals() -> Iterator[Events]:
    """Catch SIGINT and SIGTERM, on the main thread. At the end they do again what they did before.

    So a signal can still end a process that is kept from exiting by threads of the application, and
    a process that the application forks.
    """
    with ExitStack() as stack:
        reader, writer = map(stack.enter_context, socket.socketpair())
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, before)
        for number in _SIGNALS:
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: None))
        os.register_at_fork(after_in_child=stack.close)
        yield Events(reader, writer)


def wait_for_end(server: Server, events: Events, patience: float) -> None:
    """Return when ``server`` has ended: the first signal drains it, the second stops it.

    Requests in flight have ``patience`` seconds to finish.
    """

    def watch() -> None:
        server.wait()
        events.end()

    threading.Thread(target=watch, name="rocket-end", daemon=True).start()
    if event := events.wait():
        _log.info(
            "%s: requests in flight have %g seconds to finish; a second signal stops at once",
            event.name,
            patience,
        )
        server.drain(patience)
        if event := events.wait():
            _log.info("%s: stopping at once", event.name)
            server.stop()
            while events.wait():
                pass
    _log.info("stopped")

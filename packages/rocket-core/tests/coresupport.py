"""Clients, toy protocols and ways to wait, for the tests of all modules."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import rocket_core
from rocket_core import (
    Connection,
    Listener,
    Server,
    State,
    TCPAddress,
    Timeouts,
    Worker,
)
from rocket_core._server import server as server_module
from rocket_core.extending import OUTPUT_BOUND
from rocket_core.testing import PATIENCE, Client, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def skip_if_compiled(reason: str) -> None:
    """Skip a test whose situation cannot arise in compiled code, for ``reason``."""
    if rocket_core.compiled:
        pytest.skip(f"in compiled code, {reason}")


def compose_with(monkeypatch: pytest.MonkeyPatch, part: type, **bounds: float) -> None:
    """Have servers that are made from now on give ``part`` other bounds than its own."""
    monkeypatch.setattr(server_module, part.__name__, partial(part, **bounds))


def wait_for(event: threading.Event) -> None:
    """Return when ``event`` is set."""
    assert event.wait(PATIENCE), "waited in vain for an event"


def rocket_threads() -> list[threading.Thread]:
    """Return the running threads of servers."""
    return [each for each in threading.enumerate() if each.name.startswith("rocket-")]


def shout(connection: Connection, line: bytes, body: bytes) -> State:
    """Answer in upper case."""
    connection.write(line.upper() + b"\n" + body.upper())
    return State.IDLE


def stuff(connection: Connection, line: bytes, body: bytes) -> State:
    """Send more than the system takes for a client that does not read, without waiting for it."""
    del line, body
    while connection._output is None or connection._output.held < OUTPUT_BOUND - 20_000:
        connection.write(bytes(10_000))
    return State.IDLE


class LineWorker(Worker):
    """A toy protocol that lets no slow client near a thread.

    A request is a line; one that begins with ``body N`` is followed by N bytes.
    """

    def __init__(self, handler: Callable[[Connection, bytes, bytes], State | None] = shout) -> None:
        self._handler = handler

    def receive(self, connection: Connection) -> State:
        request = connection.context
        if request is None:
            while (at := connection.find(b"\n")) < 0:
                count = connection.fill()
                if count is None:
                    return State.HEAD if connection.buffered else State.IDLE
                if count == 0:
                    return State.CLOSED
            line = connection.peek(at)
            size = int(line.split()[1]) if line.startswith(b"body ") else 0
            request = connection.context = (connection.take(at + 1)[:-1], size)
        while connection.buffered < request[1]:
            count = connection.fill()
            if count is None:
                return State.BODY
            if count == 0:
                return State.CLOSED
            connection.transferred(count)
        return State.READY

    def serve(self, connection: Connection) -> State | None:
        line, size = connection.context
        connection.context = None
        return self._handler(connection, line, connection.take(size))


class Gate:
    """A handler that holds requests until it is opened.

    Attributes:
        inside: how many requests are held.
        most: how many requests were held at once so far.
    """

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.inside = 0
        self.most = 0
        self._entered = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __call__(self, connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"hold":
            with self._lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            self._entered.release()
            wait_for(self.opened)
            with self._lock:
                self.inside -= 1
        return shout(connection, line, body)

    def wait(self, count: int = 1) -> None:
        """Return when ``count`` more requests have been held."""
        for _ in range(count):
            assert self._entered.acquire(timeout=PATIENCE)


def worker(
    handler: Callable[[Connection, bytes, bytes], State | None] = shout,
) -> Callable[[], Worker]:
    """Return a factory of workers for a server."""
    return lambda: LineWorker(handler)


@contextmanager
def serving(
    factory: Callable[[], Worker],
    listener: Listener | None = None,
    *,
    timeouts: Timeouts | None = None,
    threads: int = 2,
    **options: Any,
) -> Iterator[Server]:
    """Run a server, which is stopped at the end."""
    listener = listener or Listener("127.0.0.1:0")
    options.setdefault("min_threads", threads)
    options.setdefault("max_threads", max(threads, options["min_threads"]))
    with Server(factory, [listener], timeouts=timeouts, **options) as server:
        yield server
    assert server.wait(PATIENCE)


def connect(server: Server, **options: Any) -> Client:
    """Return a client of the server's first listener."""
    return Client(server.listeners[0].address, **options)


def port_of(listener: Listener) -> int:
    """Return the port of a TCP listener."""
    assert isinstance(listener.address, TCPAddress)
    return listener.address.port


def states(server: Server) -> dict[str, int]:
    """Return how many connections are in each state."""
    return server.statistics().connections


@contextmanager
def releasing(event: threading.Event) -> Iterator[None]:
    """Set ``event`` at the end, so that no thread waits for it longer than the test."""
    try:
        yield
    finally:
        event.set()


def peeked(connection: Connection) -> bytes:
    """Return what the system has received and the connection has not taken."""
    try:
        return connection._socket.recv(1 << 16, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def expect_closes(server: Server, expected: dict[str, int]) -> None:
    """Return when the server has closed as many connections for each reason as ``expected``."""
    eventually(lambda: server.statistics().closes == expected, f"for the closes {expected}")

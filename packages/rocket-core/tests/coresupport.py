"""Clients, toy protocols and ways to wait, for the tests of all modules."""

from __future__ import annotations

import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from rocket_core import (
    Connection,
    Listener,
    Peer,
    Server,
    State,
    TCPAddress,
    Timeouts,
    UnixAddress,
    Worker,
)
from rocket_core.extending import OUTPUT_BOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

PATIENCE = 30.0
"""Seconds after which a test that waits for an event fails."""


def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Return when ``condition`` has become true."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"waited in vain {what or 'for a condition'}"
        time.sleep(0.002)


def wait_for(event: threading.Event) -> None:
    """Return when ``event`` is set."""
    assert event.wait(PATIENCE), "waited in vain for an event"


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    """Let this process and those it starts open ``count`` descriptors, or skip the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"the system allows {hard} open files, and this takes {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors() -> int:
    """How many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def rocket_threads() -> list[threading.Thread]:
    """The threads of servers."""
    return [each for each in threading.enumerate() if each.name.startswith("rocket-")]


class Client:
    """A client of a server under test, whose every operation has a time limit."""

    def __init__(
        self,
        listener: Listener,
        *,
        receive_buffer: int | None = None,
        source: str | None = None,
    ) -> None:
        address = listener.address
        if isinstance(address, UnixAddress):
            self.socket = socket.socket(socket.AF_UNIX)
            target: Any = str(address.path)
        else:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            self.socket = socket.socket(family)
            target = (address.host, address.port)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self._buffer = bytearray()
        try:
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(target)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """How the server's log calls this client."""
        host, port = self.socket.getsockname()[:2]
        return f"{host}:{port}"

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes, fewer at the end of the stream."""
        while len(self._buffer) < size and self._fill():
            pass
        return self._take(size)

    def read_line(self) -> bytes:
        """One line with its LF, shorter at the end of the stream."""
        while (at := self._buffer.find(b"\n")) < 0:
            if not self._fill():
                return self._take(len(self._buffer))
        return self._take(at + 1)

    def read_all(self) -> bytes:
        """Everything up to the end of the stream."""
        while self._fill():
            pass
        return self._take(len(self._buffer))

    def _fill(self) -> bool:
        piece = self.socket.recv(65536)
        self._buffer += piece
        return bool(piece)

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def ask(self, line: bytes) -> bytes:
        """Send a line and return the line that answers it."""
        self.send(line)
        return self.read_line()

    def closed_by_server(self) -> bool:
        """Wait until the server has closed, whatever it sends before; always true."""
        with suppress(ConnectionError):
            self.read_all()
        return True

    def half_close(self) -> None:
        """Send no more. Raises `ConnectionError` when the server has closed."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise ConnectionError(*error.args) from error

    def reset(self) -> None:
        """Close so that the server gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


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


class NarrowListener(Listener):
    """Its connections take little at once when their clients do not read."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:0")

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        return super().connect(sock, peer, timeouts)


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
    """A handler that holds requests until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"hold":
            self.entered.release()
            wait_for(self.opened)
        return shout(connection, line, body)

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=PATIENCE)


def worker(
    handler: Callable[[Connection, bytes, bytes], State | None] = shout,
) -> Callable[[], Worker]:
    """A factory for a server."""
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
    """A running server, which is stopped at the end."""
    listener = listener or Listener("127.0.0.1:0")
    options.setdefault("min_threads", threads)
    options.setdefault("max_threads", max(threads, options["min_threads"]))
    with Server(factory, [listener], timeouts=timeouts, **options) as server:
        yield server
    assert server.wait(PATIENCE)


def connect(server: Server, **options: Any) -> Client:
    """A client of the server's first listener."""
    return Client(server.listeners[0], **options)


def port_of(listener: Listener) -> int:
    """The port a TCP listener has."""
    assert isinstance(listener.address, TCPAddress)
    return listener.address.port


def states(server: Server) -> dict[str, int]:
    """How many connections are in which state."""
    return server.statistics().connections


class Script:
    """A Python program that runs in a process of its own."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def read_line(self) -> str:
        """The next line that the program prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.stderr and self._process.stderr.read()
        return line

    def ask(self, line: str) -> str:
        """Send a line and return the line that the program prints then."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.read_line()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def finish(self, line: str = "") -> str:
        """Send ``line``, wait for the program to end well, and return what it said of errors."""
        _, errors = self._process.communicate(line, timeout=PATIENCE)
        assert self._process.returncode == 0, errors
        return errors

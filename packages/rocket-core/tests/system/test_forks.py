"""Processes that the application forks."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coresupport import connect, port_of, serving, shout, states, worker
from rocket_core import Connection, Listener, State, Timeouts
from rocket_core.extending import UpgradedSocket
from rocket_core.testing import PATIENCE, at_growing_scales, eventually, listening, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sockets = Callable[[], tuple[socket.socket, socket.socket]]

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


class Nursery:
    """A handler that forks for ``fork``; the children live until the end of the test."""

    def __init__(self) -> None:
        self._alive, self._end = os.pipe()
        self._reports, self._report = os.pipe()
        self.children: list[int] = []

    def __call__(self, connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"fork":
            self.fork()
        return shout(connection, line, body)

    def fork(self) -> None:
        child = os.fork()
        if child:
            self.children.append(child)
            return
        try:
            os.close(self._end)
            os.write(self._report, "\n".join(_network_descriptors()).encode() + b"\0")
            os.read(self._alive, 1)
        finally:
            os._exit(0)

    def inherited(self) -> list[str]:
        """The sockets, epolls and the like that the last child has."""
        said = b""
        while not said.endswith(b"\0"):
            said += os.read(self._reports, 65536)
        return said[:-1].decode().split("\n") if said[:-1] else []

    def close(self) -> None:
        os.close(self._end)
        for child in self.children:
            os.waitpid(child, 0)
        for each in (self._alive, self._reports, self._report):
            os.close(each)


def _network_descriptors() -> list[str]:
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(each.readlink())
            if target.startswith("socket:") or "eventpoll" in target:
                found.append(target)
    return found


@contextmanager
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    try:
        yield made
    finally:
        made.close()


def sockets_of_tests() -> int:
    """How many sockets this process has that are no server's."""
    return len(_network_descriptors())


def test_child_keeps_no_connection_and_no_address() -> None:
    def forked(scale: float) -> None:
        limit = 0.5 * scale
        with nursery() as children:
            before = sockets_of_tests()
            listener = Listener("127.0.0.1:0")
            timeouts = Timeouts(keep_alive=limit)
            with serving(worker(children), listener, timeouts=timeouts) as server:
                port = port_of(listener)
                sockets = listening(port)
                with ExitStack() as clients:
                    with within(limit):
                        neighbour, asking = (
                            clients.enter_context(connect(server)) for _ in range(2)
                        )
                        assert neighbour.ask(b"x\n") == b"X\n"
                        assert asking.ask(b"fork\n") == b"FORK\n"
                    # The two clients of this test are sockets of the same process.
                    assert len(children.inherited()) == before + 2
                    assert neighbour.closed_by_server()
                    assert asking.closed_by_server()
            # Another process may have the port by now: these sockets must not listen any more.
            assert sockets
            assert not sockets & listening(port)

    at_growing_scales(forked)


def test_server_goes_on_in_the_parent() -> None:
    with nursery() as children, serving(worker(children)) as server, connect(server) as client:
        for _ in range(3):
            assert client.ask(b"fork\n") == b"FORK\n"
            with connect(server) as another:
                assert another.ask(b"x\n") == b"X\n"


def test_child_that_returns_from_the_application_ends() -> None:
    """The child writes no response, and serves no client."""
    children: list[int] = []

    def handle(connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"fork" and (child := os.fork()):
            children.append(child)
        return shout(connection, line, body)

    with serving(worker(handle)) as server, connect(server) as client:
        assert client.ask(b"fork\n") == b"FORK\n"
        ended = threading.Thread(target=os.waitpid, args=(children[0], 0), daemon=True)
        ended.start()
        ended.join(PATIENCE)
        assert not ended.is_alive()
        assert client.ask(b"x\n") == b"X\n"


def test_child_keeps_nothing_of_a_connection_that_was_taken_over() -> None:
    with nursery() as children:
        before = sockets_of_tests()

        def handle(connection: Connection, line: bytes, body: bytes) -> State:
            del line, body
            taken = UpgradedSocket(connection)
            taken.sendall(b"taken\n")
            taken.fileno()
            children.fork()
            taken.close()
            taken.end()
            return State.CLOSED

        with serving(worker(handle)) as server, connect(server) as client:
            assert client.ask(b"x\n") == b"taken\n"
            assert len(children.inherited()) == before + 1
            assert client.closed_by_server()


def test_end_reaches_the_client_though_another_process_has_the_socket(
    pair: tuple[Connection, socket.socket],
) -> None:
    """A child that was forked without Python's knowledge, or while the client was accepted."""
    connection, client = pair
    held = os.dup(connection.descriptor)
    connection.write(b"the last words")
    connection.close()
    received = b""
    while data := client.recv(100):
        received += data
    assert received == b"the last words"
    os.close(held)


def test_what_is_not_sent_ends_in_a_reset(sockets: Sockets) -> None:
    server, client = sockets()
    connection = Connection(server)
    while not connection.unsent:
        connection.write(bytes(100_000))
    connection.close()

    def receive_all() -> None:
        while client.recv(1 << 20):
            pass

    with pytest.raises(ConnectionResetError):
        receive_all()


def test_refused_client_is_told_though_another_process_has_the_socket() -> None:
    held: list[int] = []

    class Refusing(Listener):
        def connect(self, sock: socket.socket, *_: object) -> Connection:
            held.append(os.dup(sock.fileno()))
            raise OSError

    with serving(worker(), Refusing("127.0.0.1:0")) as server:
        with connect(server) as client:
            assert client.closed_by_server()
        eventually(lambda: not states(server))
    os.close(held[0])

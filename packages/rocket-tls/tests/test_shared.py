"""Shared connections through TLS: any thread sends while the client may send as well."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from helpers import Files, read_all, read_exactly, read_line
from rocket_core import (
    Connection,
    Server,
    SharedConnection,
    SharedProtocol,
    State,
    TCPAddress,
    Worker,
)
from rocket_core.testing import PATIENCE, eventually
from rocket_tls import TLSListener


class Echo(SharedProtocol):
    """Pushes back what comes."""

    def __init__(self, connection: Connection) -> None:
        self.shared = connection.share(self, limit=1 << 20)

    def received(self, connection: Connection) -> None:
        self.shared.queue(connection.take())


class SharingWorker(Worker):
    """Shares each connection with its first line."""

    def __init__(self) -> None:
        self.shared: list[SharedConnection] = []

    def serve(self, connection: Connection) -> State:
        connection.take()
        self.shared.append(Echo(connection).shared)
        connection.write(b"shared\n")
        return State.SHARED


@pytest.fixture
def worker() -> SharingWorker:
    return SharingWorker()


@pytest.fixture
def server(files: Files, worker: SharingWorker) -> Iterator[Server]:
    listener = TLSListener("127.0.0.1:0", files.certificate, files.key)
    with Server(lambda: worker, [listener], min_threads=2) as server:
        yield server


@contextmanager
def connect(server: Server, context: ssl.SSLContext, *, buffer: int = 0) -> Iterator[ssl.SSLSocket]:
    address = server.listeners[0].address
    assert isinstance(address, TCPAddress)
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.connect((address.host, address.port))
        with context.wrap_socket(
            sock, server_hostname="localhost", suppress_ragged_eofs=False
        ) as client:
            client.sendall(b"share\n")
            assert read_line(client) == b"shared\n"
            yield client


def test_many_threads_send_while_the_client_does(
    server: Server, worker: SharingWorker, client_context: ssl.SSLContext
) -> None:
    count, size = 100, 1000
    with connect(server, client_context) as client, ThreadPoolExecutor(5) as threads:
        (shared,) = worker.shared
        sent = threading.Barrier(4)

        def push(thread: int) -> bool:
            sent.wait(PATIENCE)
            return all(shared.push(b"%d" % thread * size) for _ in range(count))

        futures = [threads.submit(push, thread) for thread in range(4)]
        for _ in range(count):
            client.sendall(b"9" * size)
        data = read_exactly(client, 5 * count * size)
        assert all(future.result(PATIENCE) for future in futures)
        assert {digit: data.count(b"%d" % digit) for digit in (0, 1, 2, 3, 9)} == dict.fromkeys(
            (0, 1, 2, 3, 9), count * size
        )


def test_slow_client_gets_all_and_the_end(
    server: Server, worker: SharingWorker, client_context: ssl.SSLContext
) -> None:
    with connect(server, client_context, buffer=4096) as client:
        (shared,) = worker.shared
        total = 0
        while shared.push(bytes(100_000)):
            total += 100_000
        assert server.statistics().stalled == 0
        client.sendall(b"and an answer")  # read while the output waits
        shared.end()
        shared.flush()
        assert len(read_exactly(client, total)) == total
        assert read_all(client) == b""  # with a close_notify, or reading would fail
    eventually(lambda: server.connections == 0)
    assert server.statistics().held == 0


def test_client_that_is_cut_gets_no_close_notify(
    server: Server, worker: SharingWorker, client_context: ssl.SSLContext
) -> None:
    with connect(server, client_context, buffer=4096) as client:
        (shared,) = worker.shared
        while shared.push(bytes(100_000)):
            pass
        shared.cut()
        with pytest.raises(OSError, match=r"EOF|reset"):
            read_all(client)
    eventually(lambda: server.connections == 0)
    assert server.statistics().held == 0


def test_client_that_lacks_something_gets_no_close_notify(
    server: Server, worker: SharingWorker, client_context: ssl.SSLContext
) -> None:
    with connect(server, client_context) as client:
        (shared,) = worker.shared
        # The worker that parks the connection would find what is queued before that, and send it.
        eventually(lambda: shared.connection in server._monitor.parked())
        assert shared.queue(b"never sent")
        socket.socket.shutdown(client, socket.SHUT_WR)
        with pytest.raises(OSError, match=r"EOF|reset"):
            read_all(client)
    eventually(lambda: server.connections == 0)
    assert server.statistics().held == 0

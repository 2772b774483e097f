"""How many connections to a database the threads of a server keep."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rocket_core.testing import eventually
from systemtests.postgresql import Database
from systemtests.processes import APPLICATIONS, PATIENCE, PLAIN, assert_quiet, serve

if TYPE_CHECKING:
    from systemtests.processes import Server

THREADS = 4
READERS = 30
ROUNDS = 4
SIZE = 200 * 64 * 1024
"""Of the body of a large answer, without its coding."""


def ask(server: Server, path: str, receive_buffer: int | None = None) -> socket.socket:
    """Ask on a connection of its own; returns when the answer has begun."""
    address = urlsplit(server.address)
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(PATIENCE)
    sock.connect((address.hostname, address.port))
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    return sock


def rest_of(sock: socket.socket) -> int:
    return sum(len(piece) for piece in iter(lambda: sock.recv(1 << 20), b""))


def test_connections_are_no_more_than_threads_were_needed_at_once_and_fall() -> None:
    """A thread that waits for a client is replaced, and no thread is started for each time."""
    most = 0
    command = [
        "rows:application",
        *PLAIN,
        *("--threads", str(THREADS), "--access-log", "-"),
        *("--at-thread-end", "django.db:connections.close_all"),
    ]
    with (
        Database(max_connections=100) as database,
        serve(*command, cwd=APPLICATIONS, variables=database.variables) as server,
    ):
        for _ in range(ROUNDS):
            with ExitStack() as stack:
                readers = [
                    stack.enter_context(ask(server, "/large", 256 * 1024)) for _ in range(READERS)
                ]
                for reader in readers:
                    assert reader.recv(15) == b"HTTP/1.1 200 OK"
                for _ in range(THREADS):
                    with ask(server, "/") as sock:
                        assert sock.recv(15) == b"HTTP/1.1 200 OK"
                most = max(most, database.count_connections())
                for reader in readers:
                    assert rest_of(reader) > SIZE
            most = max(most, database.count_connections())
        assert READERS <= most <= READERS + THREADS
        eventually(lambda: database.count_connections() <= THREADS)
        with ask(server, "/") as sock:
            assert sock.recv(15) == b"HTTP/1.1 200 OK"
    assert_quiet(server.log)

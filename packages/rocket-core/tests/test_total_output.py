"""All connections together hold no more than the server allows."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from coresupport import LineWorker, NarrowListener, connect, eventually, serving
from rocket_core import OUTPUT_BOUND, Connection, State
from rocket_core._budget import GRAIN, Budget
from rocket_core._host import Host

PIECE = bytes(200_000)
LIMIT = 1_000_000
CLIENTS = 12


def answer(connection: Connection, line: bytes, body: bytes) -> State:
    connection.write(PIECE if line == b"large" else b"small\n")
    return State.IDLE


def test_beyond_the_total_a_client_waits_with_its_own_worker() -> None:
    with (
        serving(
            lambda: LineWorker(answer), NarrowListener(), threads=2, max_output=LIMIT
        ) as server,
        ExitStack() as clients,
    ):
        crowd = []
        for _ in range(CLIENTS):
            client = clients.enter_context(connect(server, receive_buffer=16 * 1024))
            client.send(b"large\n")
            crowd.append(client)
        eventually(lambda: server.statistics().stalled > 0)
        assert server.statistics().held <= LIMIT + CLIENTS * GRAIN
        fast = clients.enter_context(connect(server))
        for _ in range(20):
            assert fast.ask(b"quick\n") == b"small\n"
        for client in crowd:
            assert client.read(len(PIECE)) == PIECE
        eventually(lambda: server.statistics().held == 0)
        assert server.statistics().stalled == 0


def test_nothing_is_held_once_connections_are_gone() -> None:
    with serving(lambda: LineWorker(answer), NarrowListener(), max_output=LIMIT) as server:
        for _ in range(CLIENTS):
            with connect(server, receive_buffer=16 * 1024) as client:
                client.send(b"large\n")
                assert client.read(1000) == PIECE[:1000]
        eventually(lambda: server.statistics().held == 0)


def test_what_is_held_without_waiting(pair: tuple[Connection, socket.socket]) -> None:
    connection, _ = pair
    connection.host = Host(output=Budget(4 * GRAIN))
    assert connection.holds(GRAIN)
    assert connection.holds(OUTPUT_BOUND)
    assert not connection.holds(OUTPUT_BOUND + 1)
    connection.host.output.take(2 * GRAIN)
    assert connection.holds(GRAIN)
    assert not connection.holds(GRAIN + 1)

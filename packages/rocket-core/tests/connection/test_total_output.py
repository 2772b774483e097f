"""All connections together hold no more than the server allows."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from coresupport import LineWorker, connect, serving
from rocket_core import Connection, State
from rocket_core._connection.budget import GRAIN, Budget
from rocket_core._connection.server_state import ServerState
from rocket_core.extending import OUTPUT_BOUND
from rocket_core.testing import NarrowListener, eventually

PIECE = bytes(200_000)
LIMIT = 1_000_000
CLIENTS = 12


def answer(connection: Connection, line: bytes, body: bytes) -> State:
    connection.write(PIECE if line == b"large" else b"small\n")
    return State.IDLE


def test_worker_waits_for_its_client_once_all_connections_hold_the_total() -> None:
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


def test_small_unsent_responses_take_no_room_from_large_responses() -> None:
    def small_or_large(connection: Connection, line: bytes, body: bytes) -> State:
        connection.write(bytes(100_000 if line == b"large" else GRAIN))
        return State.IDLE

    count = 30
    with (
        serving(
            lambda: LineWorker(small_or_large), NarrowListener(), threads=1, max_output=100_000
        ) as server,
        ExitStack() as clients,
    ):
        for _ in range(count):
            client = clients.enter_context(connect(server, receive_buffer=4096))
            client.send(b"small\n" * 20)
        eventually(lambda: server.statistics().connections == {"sending": count})
        slow = clients.enter_context(connect(server, receive_buffer=4096))
        slow.send(b"large\n")
        eventually(lambda: server.statistics().connections == {"sending": count + 1})
        assert server.statistics().held > 100_000
        assert server.statistics().stalled == 0


def test_held_bytes_are_given_back_when_connections_close() -> None:
    with serving(lambda: LineWorker(answer), NarrowListener(), max_output=LIMIT) as server:
        for _ in range(CLIENTS):
            with connect(server, receive_buffer=16 * 1024) as client:
                client.send(b"large\n")
                assert client.read(1000) == PIECE[:1000]
        eventually(lambda: server.statistics().held == 0)


def test_holds_tells_which_sizes_are_written_without_a_wait(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, _ = pair
    connection.server = ServerState(output=Budget(4 * GRAIN))
    assert connection.holds(GRAIN)
    assert connection.holds(OUTPUT_BOUND)
    assert not connection.holds(OUTPUT_BOUND + 1)
    connection.server.output.take(2 * GRAIN)
    assert connection.holds(GRAIN)
    assert not connection.holds(GRAIN + 1)

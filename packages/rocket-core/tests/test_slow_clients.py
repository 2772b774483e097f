"""The promise: whatever clients do slowly, no thread waits for them."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from coresupport import (
    Client,
    LineWorker,
    NarrowListener,
    connect,
    eventually,
    serving,
    shout,
    states,
    stuff,
)
from rocket_core import Connection, State, Timeouts

CROWD = 100
TIME = 1.5


def handle(connection: Connection, line: bytes, body: bytes) -> State:
    return (stuff if line == b"stuff" else shout)(connection, line, body)


@pytest.mark.parametrize(
    ("sent", "state", "timeouts", "reason"),
    [
        (b"", "idle", Timeouts(keep_alive=TIME), "keep-alive timed out"),
        (b"half a li", "head", Timeouts(head=TIME), "head timed out"),
        (b"body 100\nhalf", "body", Timeouts(stall=TIME), "body too slow"),
        (b"stuff\n", "sending", Timeouts(stall=TIME), "response taken too slowly"),
    ],
    ids=["idle", "head", "body", "sending"],
)
def test_crowd_of_slow_clients_holds_no_thread(
    sent: bytes, state: str, timeouts: Timeouts, reason: str
) -> None:
    with (
        serving(
            lambda: LineWorker(handle), NarrowListener(), threads=2, timeouts=timeouts
        ) as server,
        ExitStack() as clients,
    ):
        fast = clients.enter_context(connect(server))
        crowd = []
        for _ in range(CROWD):
            client = clients.enter_context(connect(server, receive_buffer=16 * 1024))
            client.send(sent)
            crowd.append(client)
        eventually(lambda: states(server).get(state, 0) >= CROWD)
        for _ in range(50):
            assert fast.ask(b"quick\n") == b"QUICK\n"
        statistics = server.statistics()
        assert statistics.connections[state] >= CROWD
        assert statistics.stalled == 0
        assert statistics.threads == 2
        fast.close()
        eventually(lambda: server.statistics().closes.get(reason) == CROWD)
        assert all(map(Client.closed_by_server, crowd))


def test_trickling_clients_hold_no_thread() -> None:
    with serving(lambda: LineWorker(handle), threads=2) as server, ExitStack() as clients:
        fast = clients.enter_context(connect(server))
        crowd = [clients.enter_context(connect(server)) for _ in range(CROWD)]
        for number in range(10):
            for client in crowd:
                client.send(b"x")
            assert fast.ask(b"%d\n" % number) == b"%d\n" % number
            assert server.statistics().requests == number + 1
        for client in crowd:
            assert client.ask(b"\n") == b"XXXXXXXXXX\n"

"""The promise: whatever clients do slowly, no thread waits for them."""

from __future__ import annotations

import threading
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
FLOOD = 12_000_000
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


@pytest.mark.parametrize("request_", [b"stuff\n", b"flood\n"], ids=["sending", "waiting"])
def test_steady_reader_is_not_cut_though_the_system_accepts_nothing_for_long(
    request_: bytes,
) -> None:
    """What counts is what the client takes, not what the system has room for."""
    timeouts = Timeouts(stall=0.4, grace=0.4)

    def answer(connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"stuff":
            return stuff(connection, line, body)
        connection.write(bytes(FLOOD))
        return State.IDLE

    with (
        serving(lambda: LineWorker(answer), threads=2, timeouts=timeouts) as server,
        connect(server, receive_buffer=16 * 1024) as steady,
    ):
        steady.send(request_)
        eventually(lambda: states(server).get("idle", 0) == 0)
        waited = threading.Event()
        for _ in range(30):  # far longer than either time-out, at a rate that is far above
            assert steady.read(8 * 1024)
            waited.wait(0.1)
        assert server.statistics().closes == {}
        eventually(lambda: server.statistics().closes == {"response taken too slowly": 1})

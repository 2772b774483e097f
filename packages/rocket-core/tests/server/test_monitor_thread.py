"""The Monitor's thread is in charge while every worker is away in the application."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from coresupport import (
    Gate,
    LineWorker,
    connect,
    expect_closes,
    releasing,
    serving,
    shout,
    states,
    wait_for,
    worker,
)
from rocket_core import Connection, Server, State
from rocket_core._engine.monitor import BATCH
from rocket_core.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def blocked() -> Iterator[tuple[Server, threading.Event]]:
    """Run a server whose two threads stay in the application until the event is set."""
    leave = threading.Event()
    inside = threading.Semaphore(0)

    def hold(connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"hold":
            inside.release()
            wait_for(leave)
        return shout(connection, line, body)

    with serving(worker(hold), threads=2) as server, ExitStack() as clients:
        holders = [clients.enter_context(connect(server)) for _ in range(2)]
        for holder in holders:
            holder.send(b"hold\n")
            assert inside.acquire(timeout=30)
        try:
            yield server, leave
        finally:
            leave.set()
        for holder in holders:
            assert holder.read_line() == b"HOLD\n"


def test_clients_are_still_accepted_and_read() -> None:
    with blocked() as (server, leave), ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(20)]
        for client in crowd:
            client.send(b"hel")
        eventually(lambda: states(server).get("head") == 20)
        for client in crowd:
            client.send(b"lo\n")
        eventually(lambda: server.statistics().ready == 20)
        assert states(server) == {"active": 2, "ready": 20}
        assert server.statistics().requests == 2
        leave.set()
        for client in crowd:
            assert client.read_line() == b"HELLO\n"


@pytest.mark.parametrize(
    ("sent", "state", "reason"),
    [(b"", State.IDLE, "keep-alive timed out"), (b"half", State.HEAD, "head timed out")],
)
def test_time_outs_still_apply(sent: bytes, state: State, reason: str) -> None:
    with blocked() as (server, _), connect(server) as client:
        client.send(sent)
        eventually(lambda: states(server).get(state.value) == 1 == len(server._monitor))
        (connection,) = server._monitor.parked()
        # Only for this client: others may be slow on a busy machine.
        assert server._monitor.claim(connection)
        connection.deadline = time.monotonic()
        server._monitor.park(connection)
        assert client.closed_by_server()
        expect_closes(server, {reason: 1})


def test_clients_that_leave_are_still_noticed() -> None:
    with blocked() as (server, _):
        with connect(server) as client:
            client.send(b"half")
            eventually(lambda: states(server).get("head") == 1)
        expect_closes(server, {"client closed": 1})


def test_responses_are_still_sent() -> None:
    leave, inside = threading.Event(), threading.Event()

    def handle(connection: Connection, line: bytes, body: bytes) -> State:
        del body
        if line == b"hold":
            inside.set()
            wait_for(leave)
            connection.write(b"held\n")
        else:
            while not connection.unsent:
                connection.write(bytes(100_000))
            connection.write(b"\n")
        return State.IDLE

    with (
        serving(worker(handle), threads=1) as server,
        connect(server, receive_buffer=64 * 1024) as reader,
        connect(server) as holder,
    ):
        reader.send(b"large\n")
        eventually(lambda: states(server).get("sending") == 1)
        holder.send(b"hold\n")
        wait_for(inside)
        received = reader.read_line()  # the whole response, while the only worker is away
        assert len(received) >= 100_000
        eventually(lambda: states(server).get("idle") == 1)
        leave.set()
        assert holder.read_line() == b"held\n"


def test_failed_order_is_logged_and_the_pool_is_still_tended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise ValueError("an order that fails")

    with blocked() as (server, _):
        server._mailbox.post(fail)
        eventually(lambda: "error on the Monitor's thread, which goes on" in caplog.text)
        with connect(server) as client:
            client.send(b"half")
            eventually(lambda: states(server).get("head") == 1)
            client.send(b"\n")
            eventually(lambda: server.statistics().ready == 1)


def test_clients_that_never_pause_do_not_delay_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with blocked() as (server, _), connect(server) as client:
        client.send(b"beginning")
        eventually(lambda: states(server).get("head") == 1)
        (connection,) = server._monitor.parked()
        polled = threading.Event()

        def poll(timeout: float) -> list[Connection]:
            del timeout
            polled.set()
            return [connection] * BATCH

        stand_in = server._monitor_thread._stand_in
        monkeypatch.setattr(stand_in, "_take_in", lambda _: None)
        monkeypatch.setattr(stand_in, "_monitor", SimpleNamespace(poll=poll))
        wait_for(polled)
        obeyed = threading.Event()
        server._mailbox.post(obeyed.set)
        wait_for(obeyed)
        monkeypatch.undo()


def test_monitors_thread_of_an_idle_server_sleeps() -> None:
    with serving(worker()) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        # The thread ceases to tend the pool, which it does every few milliseconds otherwise.
        eventually(lambda: not server._pool.guarded)


def test_monitors_thread_is_among_the_activities_while_it_receives() -> None:
    """While the thread receives for one client it does nothing for all others."""
    held, leave = threading.Event(), threading.Event()
    gate = Gate()

    class Held(LineWorker):
        def receive(self, connection: Connection) -> State:
            state = super().receive(connection)
            # Only the second client: the thread may also be the one that receives for the first.
            if gate.inside and threading.current_thread().name == "rocket-monitor":
                held.set()
                wait_for(leave)
            return state

    with (
        serving(lambda: Held(gate), threads=1) as server,
        connect(server) as busy,
        connect(server) as other,
        releasing(leave),
        releasing(gate.opened),
    ):
        busy.send(b"hold\n")
        gate.wait()
        other.send(b"x\n")
        wait_for(held)
        eventually(lambda: len(server.activities()) == 2)
        (found,) = (each for each in server.activities() if each.thread == "rocket-monitor")
        assert str(found.peer) == other.name
        assert found.doing == ""
        leave.set()
        gate.opened.set()
        assert other.read_line() == b"X\n"

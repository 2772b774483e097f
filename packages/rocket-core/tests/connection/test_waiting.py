"""A thread waits for a client only in `Worker.serve`."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from coresupport import LineWorker, connect, expect_closes, serving, states, wait_for
from rocket_core import Connection, State, Timeouts, WaitError
from rocket_core._connection.budget import GRAIN
from rocket_core._connection.server_state import ServerState
from rocket_core.testing import NarrowListener, eventually

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from rocket_core import Server

MUCH = bytes(1 << 20)


class Talkative(LineWorker):
    """Writes more than a client takes in the method named ``where``, and nothing elsewhere."""

    def __init__(self, where: str, leave: threading.Event) -> None:
        super().__init__(self.handle)
        self.where = where
        self.leave = leave

    def say(self, where: str, connection: Connection) -> State:
        if where == self.where:
            connection.write(MUCH)
        return State.LINGER

    def receive(self, connection: Connection) -> State:
        state = super().receive(connection)
        if state is State.READY and connection.context[0] == b"receive":
            return self.say("receive", connection)
        return state

    def handle(self, connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"fail":
            raise ValueError("a mistake")
        if line == b"hold":
            if connection.lease is not None:
                connection.lease.offer(line)
            wait_for(self.leave)
        connection.write(line + b"\n")
        return State.IDLE

    def expired(self, connection: Connection) -> State:
        return self.say("expired", connection)

    def failed(self, connection: Connection, error: BaseException) -> State:
        return self.say("failed", connection)

    def overloaded(self, connection: Connection) -> State:
        return self.say("overloaded", connection)

    def overdue(self, connection: Connection, context: Any) -> State:
        return self.say("overdue", connection)


@pytest.mark.parametrize(
    ("where", "sent", "settings"),
    [
        ("receive", b"receive\n", {}),
        ("receive", b"first\nreceive\n", {}),
        ("failed", b"fail\n", {}),
        ("expired", b"half", {"timeouts": Timeouts(head=0.05)}),
        ("overloaded", b"hold\n", {"max_queue": 1}),
        ("overdue", b"hold\n", {"request_timeout": 0.05}),
    ],
)
def test_no_thread_waits_for_a_client_outside_serve(
    where: str, sent: bytes, settings: dict[str, Any]
) -> None:
    """The client reads nothing, the server may hold nothing for it, and closes the connection."""
    leave = threading.Event()
    with (
        serving(
            lambda: Talkative(where, leave), NarrowListener(), threads=1, max_output=0, **settings
        ) as server,
        ExitStack() as clients,
    ):
        served = []
        if where == "overloaded":
            served += [clients.enter_context(connect(server)) for _ in range(2)]
            served[0].send(b"hold\n")
            eventually(lambda: states(server) == {"active": 1, "idle": 1})
            served[1].send(b"hold\n")
            eventually(lambda: states(server) == {"active": 1, "ready": 1})
        client = clients.enter_context(connect(server, receive_buffer=4096))
        client.send(sent)
        eventually(lambda: _ended(server) == 1, f"for the end of {where}")
        leave.set()
        for each in served:  # afterwards the queue is empty, so that it has room for the other
            assert each.read(5) == b"hold\n"
        eventually(lambda: server.statistics().stalled == 0)
        other = clients.enter_context(connect(server))
        assert other.ask(b"quick\n") == b"quick\n"


def _ended(server: Server) -> int:
    return sum(server.statistics().closes.values())


class Brief(LineWorker):
    """Writes in `receive` as many bytes as there is certainly room for."""

    def receive(self, connection: Connection) -> State:
        while (state := super().receive(connection)) is State.READY:
            connection.context = None
            connection.write(bytes(GRAIN))
            if connection.unsent or not connection.buffered:
                return State.IDLE
        return state


def test_receive_may_write_a_grain_whatever_other_connections_hold() -> None:
    count = 20
    with (
        serving(Brief, NarrowListener(), threads=1, max_output=0) as server,
        connect(server, receive_buffer=4096) as client,
    ):
        client.send(b"more\n" * count)
        eventually(lambda: states(server) == {"sending": 1})
        assert client.read(count * GRAIN) == bytes(count * GRAIN)
        assert server.statistics().closes == {}


def test_keep_alive_time_begins_after_a_response_from_receive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that has sent a request behind a served request is timed out like any other."""

    class Mixed(LineWorker):
        def receive(self, connection: Connection) -> State:
            state = super().receive(connection)
            if state is State.READY and connection.context[0] == b"alone":
                connection.context = None
                connection.write(b"alone\n")
                return State.IDLE
            return state

    with serving(Mixed, threads=1) as server, connect(server) as client:
        eventually(lambda: states(server) == {"idle": 1})
        monkeypatch.setitem(server._engine._seconds, State.IDLE, 0.05)  # not for the first request
        client.send(b"served\nalone\n")
        assert client.read_all() == b"SERVED\nalone\n"
        expect_closes(server, {"keep-alive timed out": 1})


@pytest.mark.parametrize("state", [each for each in State if each is not State.CLOSED])
def test_only_a_connection_that_a_worker_owns_is_waited_for(
    pair: tuple[Connection, socket.socket], state: State
) -> None:
    connection, client = pair
    connection.server = ServerState()
    connection.state = state
    if state in (State.ACTIVE, State.UPGRADED):
        client.send(b"x")
        assert connection.read(1) == b"x"
        return
    with pytest.raises(WaitError, match=f"may wait for a client in state '{state.value}'"):
        connection.read(1)
    assert client.recv(1) == b""  # the stream ends, because a part of it is lost


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_activities_show_a_thread_that_receives(release: threading.Event) -> None:
    class Stuck(LineWorker):
        def receive(self, connection: Connection) -> State:
            state = super().receive(connection)
            if state is State.HEAD:
                wait_for(release)
            return state

        def doing(self) -> str:
            return "what was served before"

    with serving(Stuck, threads=1) as server, connect(server) as client:
        assert client.ask(b"before\n") == b"BEFORE\n"
        client.send(b"half")
        eventually(
            lambda: (
                [
                    (str(each.peer), each.doing)
                    for each in server.activities()
                    if each.state is State.IDLE
                ]
                == [(client.name, "")]
            )
        )
        release.set()

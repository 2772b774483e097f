"""Idle clients make room while the server can accept no other client."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from coresupport import (
    Gate,
    connect,
    expect_closes,
    serving,
    shout,
    states,
    stuff,
    wait_for,
    worker,
)
from rocket_core import Connection, Listener, Server, State, Timeouts
from rocket_core._connection.server_state import ServerState
from rocket_core._engine.counters import Counters
from rocket_core._engine.engine import DRAIN_GRACE, Engine
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.registry import Registry
from rocket_core._engine.seat import Seat
from rocket_core._server import eviction
from rocket_core._server import listener as listener_module
from rocket_core.testing import PATIENCE, Client, NarrowListener, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients make room however briefly they have been idle."""
    monkeypatch.setattr(eviction, "MIN_IDLE", 1e-9)
    monkeypatch.setattr(eviction, "MIN_TRANSFER", 0.0)


def crowd(server: Server, clients: ExitStack, count: int) -> list[Client]:
    """Return clients that have asked once, one after the other, and are idle."""
    found = [clients.enter_context(connect(server)) for _ in range(count)]
    for client in found:
        assert client.ask(b"a\n") == b"A\n"
        settle(server)
    return found


def settle(server: Server) -> None:
    """Wait until no connection is active: a client is answered before its connection is idle."""
    eventually(lambda: "active" not in states(server))


def test_client_that_is_idle_longest_makes_room() -> None:
    with serving(worker(), max_connections=3) as server, ExitStack() as clients:
        first, second, third = crowd(server, clients, 3)
        assert first.ask(b"again\n") == b"AGAIN\n"  # so that the second client is idle longest
        settle(server)
        fourth = clients.enter_context(connect(server))
        assert fourth.ask(b"new\n") == b"NEW\n"
        assert second.closed_by_server()
        assert first.ask(b"x\n") == b"X\n"
        assert third.ask(b"x\n") == b"X\n"
        expect_closes(server, {"made room for another": 1})


@pytest.mark.parametrize("sent", [b"", b"half a li", b"body 1000\nsome"])
def test_crowd_that_sends_no_request_keeps_no_client_out(sent: bytes) -> None:
    with serving(worker(), max_connections=20) as server, ExitStack() as clients:
        silent = [clients.enter_context(connect(server)) for _ in range(60)]
        for client in silent:
            client.send(sent)
        honest = clients.enter_context(connect(server))
        assert honest.ask(b"hello\n") == b"HELLO\n"
        eventually(lambda: server.statistics().closes.keys() == {"made room for another"})


def stuff_or_shout(connection: Connection, line: bytes, body: bytes) -> State:
    return (stuff if line == b"all" else shout)(connection, line, body)


def test_readers_that_take_nothing_keep_no_client_out() -> None:
    with (
        serving(worker(stuff_or_shout), NarrowListener(), max_connections=4) as server,
        ExitStack() as clients,
    ):
        for _ in range(4):
            reader = clients.enter_context(connect(server, receive_buffer=4096))
            reader.send(b"all\n")
        eventually(lambda: states(server) == {"sending": 4})
        honest = clients.enter_context(connect(server))
        assert honest.ask(b"hello\n") == b"HELLO\n"
        expect_closes(server, {"made room for another": 1})


def looks(server: Server) -> list[None]:
    """Return a list that grows with every look for connections to close."""
    made: list[None] = []
    evict = server._eviction.evict

    def counted() -> None:
        evict()
        made.append(None)

    server._eviction.evict = counted  # type: ignore[method-assign]
    return made


def test_client_that_is_served_makes_no_room() -> None:
    gate = Gate()
    with serving(worker(gate), threads=2, max_connections=2) as server, ExitStack() as clients:
        busy = [clients.enter_context(connect(server)) for _ in range(2)]
        for client in busy:
            client.send(b"hold\n")
        gate.wait(2)
        looked = looks(server)
        waiting = clients.enter_context(connect(server))
        waiting.send(b"x\n")
        eventually(lambda: looked)
        assert server.statistics().accepted == 2
        gate.opened.set()
        assert [client.read_line() for client in busy] == [b"HOLD\n"] * 2
        assert waiting.read_line() == b"X\n"


def test_no_client_makes_room_while_no_client_waits() -> None:
    with serving(worker(), max_connections=2) as server, ExitStack() as clients:
        first, second = crowd(server, clients, 2)
        server.listeners[0].wake()
        for client in (first, second):
            assert client.ask(b"x\n") == b"X\n"
        assert server.statistics().closes == {}


def test_client_that_has_been_idle_briefly_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction, "MIN_IDLE", 1e6)
    with serving(worker(), max_connections=1) as server, ExitStack() as clients:
        (first,) = crowd(server, clients, 1)
        looked = looks(server)
        second = clients.enter_context(connect(server))
        second.send(b"x\n")
        eventually(lambda: looked)
        assert first.ask(b"x\n") == b"X\n"
        first.close()
        assert second.read_line() == b"X\n"


def test_shorter_idle_time_is_enough_when_clients_come_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eviction, "MIN_IDLE", 1e3)
    monkeypatch.setattr(eviction, "LEAST_SHARE", 1e-6)
    monkeypatch.setattr(listener_module, "_CROWD_PAUSE", 0.001)
    with serving(worker(), max_connections=1) as server, ExitStack() as clients:
        crowd(server, clients, 1)
        second = clients.enter_context(connect(server))
        assert second.ask(b"x\n") == b"X\n"
        expect_closes(server, {"made room for another": 1})


def test_several_orders_to_make_room_are_carried_out_once() -> None:
    with serving(worker(), max_connections=1) as server, ExitStack() as clients:
        crowd(server, clients, 1)
        looked = looks(server)
        held = threading.Event()
        server._mailbox.post(lambda: wait_for(held))
        for _ in range(5):
            server._order_eviction()
        held.set()
        eventually(lambda: looked)
        done = threading.Event()
        server._mailbox.post(done.set)
        wait_for(done)
        assert len(looked) == 1


class Counted(Monitor):
    """Counts the looks at all connections, each of which is said to take ``cost`` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.cost = self.spent = 0.0

    def parked(self) -> list[Connection]:
        self.looks += 1
        self.spent += self.cost
        return super().parked()


class Parked:
    """An eviction, and connections parked where no thread polls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monitor = Counted()
        registry = Registry(10)
        engine = Engine(self.monitor, registry, Timeouts(), ServerState())
        seat = Seat(worker()(), Counters())
        self.eviction = eviction.Eviction(self.monitor, engine, seat, Timeouts(), 10)
        self.now = time.monotonic()
        monkeypatch.setattr(eviction, "MIN_IDLE", 1.0)
        monkeypatch.setattr(eviction, "time", SimpleNamespace(monotonic=self._read_clock))

    def _read_clock(self) -> float:
        return self.now + self.monitor.spent

    def evict(self) -> None:
        self.eviction.evict()

    def close(self) -> None:
        for connection in self.monitor.parked():
            connection.close()
        self.monitor.close()


@pytest.fixture
def parked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parked]:
    with closing(Parked(monkeypatch)) as parked:
        yield parked


def test_client_that_sends_before_the_look_makes_no_room(parked: Parked) -> None:
    ours, its = socket.socketpair()
    with its:
        connection = Connection(ours)
        connection.deadline = parked.now - 5 + Timeouts().keep_alive
        parked.monitor.park(connection)
        its.send(b"x")
        parked.evict()
        assert parked.monitor.poll(PATIENCE) == [connection]
        assert connection.fill() == 1
        parked.monitor.park(connection)
        parked.evict()
        assert connection.state is State.CLOSED


def test_grace_of_a_drain_does_not_count_as_idle_time(parked: Parked) -> None:
    ours, its = socket.socketpair()
    with its:
        connection = Connection(ours)
        connection.last_request = 0
        connection.deadline = parked.now + DRAIN_GRACE - 0.5
        parked.monitor.park(connection)
        parked.evict()
        assert len(parked.monitor) == 1
        parked.now += 0.5
        parked.evict()
        assert connection.state is State.CLOSED


def test_looks_in_vain_take_a_small_share_of_the_time(parked: Parked) -> None:
    parked.monitor.cost = 0.2
    parked.evict()
    parked.evict()
    assert parked.monitor.looks == 1
    parked.now += 0.2 * eviction._LOOKING + 0.1
    parked.evict()
    assert parked.monitor.looks == 2


def test_eviction_makes_room_for_both_listeners() -> None:
    listeners = [Listener("127.0.0.1:0"), Listener("127.0.0.1:0")]
    with (
        Server(worker(), listeners, min_threads=1, max_threads=1, max_connections=1) as server,
        ExitStack() as clients,
    ):
        for listener in [*listeners, *listeners]:
            client = clients.enter_context(Client(listener.address))
            assert client.ask(b"a\n") == b"A\n"
        eventually(lambda: server.statistics().closes.keys() == {"made room for another"})
        # Both listeners may find the last place free, and give it to a client each.
        eventually(lambda: sum(states(server).values()) <= len(listeners))

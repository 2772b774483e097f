"""Which thread accepts a client, and which process where several accept from the same socket."""

from __future__ import annotations

import _socket
import errno
import logging
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import pytest

from coresupport import Gate, connect, serving, shout, wait_for, worker
from rocket_core import Connection, Listener, Peer, Server, State, Timeouts
from rocket_core._engine.monitor import Monitor
from rocket_core._network.acceptor import Acceptor
from rocket_core._server import eviction
from rocket_core._server import listener as module
from rocket_core._server import server as server_module
from rocket_core._system.poller import default_poller
from rocket_core.testing import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

exclusive = pytest.mark.skipif(sys.platform != "linux", reason="needs EPOLLEXCLUSIVE")


def test_clients_are_spread_over_those_who_wait() -> None:
    """Each listener stands for one in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        first, second = Listener(shared.dup()), Listener(shared.dup())
        first.shared = second.shared = lambda: 0.0
        with serving(worker(), first) as one, serving(worker(), second) as other:

            def accepted(number: int) -> bool:
                return one.statistics().accepted + other.statistics().accepted == number

            for number in range(1, 41):
                socket.create_connection(shared.getsockname(), PATIENCE).close()
                eventually(partial(accepted, number))
            assert one.statistics().accepted >= 10
            assert other.statistics().accepted >= 10


def test_others_go_first_for_as_long_as_they_are_given() -> None:
    """One that would leave clients to others for ever takes one of those that come together."""
    with socket.create_server(("127.0.0.1", 0), backlog=10) as shared:
        crowd = [socket.create_connection(shared.getsockname(), PATIENCE) for _ in range(3)]
        listener = Listener(shared.dup())
        asked: list[int] = []

        def others_first() -> float:
            asked.append(len(asked))
            return PATIENCE * 10 if len(asked) == 1 else 0.0

        listener.shared = others_first
        with serving(worker(), listener) as server:
            eventually(lambda: len(asked) == 1)
            assert server.statistics().accepted == 1
            listener.wake()  # as when there is room again, which ends the pause
            eventually(lambda: server.statistics().accepted == 3)
        for each in crowd:
            each.close()


@pytest.mark.parametrize("end", ["drain", "stop"])
def test_waiting_ends_with_the_server(end: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(), listener) as server:
            getattr(server, end)()
            assert server.wait(PATIENCE)


@exclusive
def test_full_server_leaves_a_client_to_another_that_waits() -> None:
    """A server that a client wakes alone, though it is full, would keep the client waiting.

    The first server waits at the head of the queue of the system, since it has registered before
    the second one. Its only connection is busy, so that there is none to close for the client.
    """
    gate = Gate()
    with socket.create_server(("127.0.0.1", 0)) as shared:
        first, second = Listener(shared.dup()), Listener(shared.dup())
        first.shared = second.shared = lambda: 0.0
        with serving(worker(gate), first, max_connections=1) as full, connect(full) as busy:
            busy.send(b"hold\n")
            gate.wait()
            eventually(lambda: not first._owed)  # it accepts nothing for its threads any more
            with serving(worker(), second) as other, connect(full) as client:
                assert client.ask(b"x\n") == b"X\n"
                assert (full.statistics().accepted, other.statistics().accepted) == (1, 1)
            gate.opened.set()
            assert busy.read_line() == b"HOLD\n"


def told(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], None]) -> None:
    """Have ``happen`` called once when a poll has told a thread of a client, before it accepts."""
    accept = Listener._accept_for_poller
    calls: list[None] = []

    def accept_late(listener: Listener) -> list[Connection]:
        calls.append(None)
        if len(calls) == 1:
            happen()
        return accept(listener)

    monkeypatch.setattr(Listener, "_accept_for_poller", accept_late)


def lent(server: Server) -> None:
    """Return when a worker polls, and accepts for the first listener."""
    eventually(lambda: server.listeners[0]._lent and server._pool.polling > 0)


@exclusive
def test_server_that_a_client_has_woken_accepts_it_before_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A client wakes this server alone. 2. A drain begins. 3. No other server is woken."""

    def drain() -> None:
        server.drain(PATIENCE, shared=[listener])
        eventually(lambda: not listener.listening)

    told(monkeypatch, drain)
    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(), listener) as server:
            lent(server)
            with socket.create_connection(shared.getsockname(), PATIENCE) as client:
                client.sendall(b"x\n")
                assert client.recv(100) == b"X\n"
            assert server.wait(PATIENCE)


@exclusive
def test_server_that_a_client_has_woken_accepts_it_though_it_becomes_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A client wakes this server alone. 2. It gets its last connection in another way."""
    gate = Gate()
    ours, theirs = socket.socketpair()
    theirs.sendall(b"hold\n")

    def fill() -> None:
        server.handle(ours)
        eventually(lambda: server.connections == 1)

    told(monkeypatch, fill)
    with socket.create_server(("127.0.0.1", 0)) as shared, theirs:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(gate), listener, max_connections=1) as server:
            lent(server)
            with socket.create_connection(shared.getsockname(), PATIENCE) as client:
                client.sendall(b"x\n")
                assert client.recv(100) == b"X\n"
            gate.opened.set()
            assert theirs.recv(100) == b"HOLD\n"


@exclusive
def test_server_that_a_client_has_woken_accepts_it_though_the_socket_was_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A client wakes this server alone. 2. Another of its threads gives the socket back."""

    def give_back() -> None:
        with listener._lock:
            listener._pause = inf
            assert listener._socket is not None
            listener._take_back(listener._socket)
        listener._signal.set()

    told(monkeypatch, give_back)
    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(), listener) as server:
            lent(server)
            with socket.create_connection(shared.getsockname(), PATIENCE) as client:
                client.sendall(b"x\n")
                assert client.recv(100) == b"X\n"


def test_server_that_does_not_know_for_how_long_others_go_first_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BACK_OFF", 0.01)

    def fail() -> float:
        raise ValueError("a mistake")

    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = Listener(shared.dup())
        listener.shared = fail
        with serving(worker(), listener) as server:
            for _ in range(3):
                with connect(server) as client:
                    assert client.ask(b"x\n") == b"X\n"
    assert "ValueError: a mistake" in caplog.text


def test_server_that_cannot_watch_its_socket_tries_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. It is to be lent, and the system has no memory for that. 2. Nor to queue behind others."""
    monkeypatch.setattr(module, "_BACK_OFF", 0.01)
    calls = 0

    class Failing(type(default_poller())):  # type: ignore[misc]
        def watch(self, descriptor: int, *, exclusive: bool) -> None:
            nonlocal calls
            calls += 1
            if calls in (1, 3):
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
            super().watch(descriptor, exclusive=exclusive)

    monkeypatch.setattr(server_module, "Monitor", lambda: Monitor(Failing()))
    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(), listener) as server:
            for _ in range(3):
                with connect(server) as client:
                    assert client.ask(b"x\n") == b"X\n"
    assert calls >= 4
    assert caplog.text.count("Cannot allocate memory") >= 2


def test_full_server_accepts_for_a_thread_that_was_woken_and_found_no_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the client would wait, although another process may have room for it.

    1. Two clients wake two threads of this server, and no other. 2. The first thread accepts, finds
    the server full, and takes the socket back. 3. The second thread collects its events, among
    which the socket is no more.
    """
    accept = Listener._accept_for_poller
    told: list[None] = []

    def accept_first(listener: Listener) -> list[Connection]:
        told.append(None)
        if len(told) > 1:
            return []  # as if the poll had reported nothing
        clients.enter_context(socket.create_connection(shared.getsockname(), PATIENCE))
        return accept(listener)

    monkeypatch.setattr(Listener, "_accept_for_poller", accept_first)
    gate = Gate()
    with socket.create_server(("127.0.0.1", 0)) as shared, ExitStack() as clients:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(gate), listener, max_connections=1) as server:
            lent(server)
            with connect(server) as busy:
                busy.send(b"hold\n")  # so that there is no connection to close for the second one
                gate.wait()
                eventually(lambda: server.statistics().accepted == 2)
                gate.opened.set()
                assert busy.read_line() == b"HOLD\n"


# -- one process -----------------------------------------------------------------------------------


class Watched(Listener):
    """Notes which threads accept."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        super().__init__(address)
        self.threads: list[str] = []

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        self.threads.append(threading.current_thread().name)
        return super().connect(sock, peer, timeouts)


def test_thread_that_serves_a_client_has_accepted_it() -> None:
    served: list[str] = []

    def note(connection: Connection, line: bytes, body: bytes) -> State:
        served.append(threading.current_thread().name)
        return shout(connection, line, body)

    listener = Watched()
    with serving(worker(note), listener, threads=1) as server:
        lent(server)
        with connect(server) as client:
            assert client.ask(b"x\n") == b"X\n"
    assert listener.threads == served == ["rocket-worker-1"]


def test_clients_are_accepted_while_all_workers_are_held() -> None:
    gate = Gate()
    listener = Watched()
    with serving(worker(gate), listener, threads=2) as server, ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(connect(server)).send(b"hold\n")
        gate.wait(2)
        late = [clients.enter_context(connect(server)) for _ in range(20)]
        eventually(lambda: server.statistics().accepted == 22)
        assert listener.threads[-1] == "rocket-monitor"
        for client in late:
            client.send(b"x\n")
        gate.opened.set()
        for client in late:
            assert client.read_line() == b"X\n"


def test_client_is_left_in_the_backlog_when_the_server_becomes_full_before_it_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A worker is told of a client. 2. The server gets its last connection in another way."""
    monkeypatch.setattr(eviction, "MIN_IDLE", inf)
    ours, theirs = socket.socketpair()

    def fill() -> None:
        server.handle(ours)

    told(monkeypatch, fill)
    with serving(worker(), max_connections=1) as server, theirs:
        lent(server)
        with connect(server) as client:
            client.send(b"x\n")
            eventually(lambda: not server.listeners[0]._lent)
            for _ in range(20):
                theirs.sendall(b"y\n")
                assert theirs.recv(100) == b"Y\n"
            assert server.statistics().accepted == 1
            theirs.close()
            assert client.read_line() == b"X\n"


def test_thread_that_was_told_too_late_finds_no_client_and_no_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. Two threads are told of one client. 2. One of them accepts it."""
    listener = Listener("127.0.0.1:0")
    with serving(worker(), listener) as server:
        lent(server)
        with connect(server) as client:
            assert client.ask(b"x\n") == b"X\n"
            assert listener._accept_for_poller() == []
            assert listener._lent
    assert listener._accept_for_poller() == []


def test_client_has_one_owner_however_many_threads_are_told() -> None:
    listener = Listener("127.0.0.1:0")
    with serving(worker(), listener) as server, ThreadPoolExecutor(4) as threads:
        lent(server)
        for number in range(1, 51):
            with connect(server) as client:
                others = [threads.submit(listener._accept_for_poller) for _ in range(4)]
                for connection in (each for other in others for each in other.result()):
                    server._pool.submit(connection)
                assert client.ask(b"x\n") == b"X\n"
            assert server.statistics().accepted == number


def test_log_that_blocks_stops_no_other_thread_that_accepts() -> None:
    """1. The first client cannot be connected, and is logged. 2. The second one is accepted."""

    class Failing(Listener):
        connected = 0

        def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
            self.connected += 1
            if self.connected == 1:
                raise ValueError("a mistake")
            return super().connect(sock, peer, timeouts)

    class Blocking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record
            reached.set()
            opened.wait(PATIENCE)

    def accept() -> None:
        """Do what a thread does that was told of a client."""
        for connection in listener._accept_for_poller():
            server._pool.submit(connection)

    reached, opened = threading.Event(), threading.Event()
    handler = Blocking()
    logger = logging.getLogger("rocket_core.listener")
    listener = Failing("127.0.0.1:0")
    with serving(worker(), listener) as server, ExitStack() as cleanup:
        logger.addHandler(handler)
        cleanup.callback(logger.removeHandler, handler)
        cleanup.callback(opened.set)
        lent(server)
        with connect(server):
            wait_for(reached)
        with connect(server) as client:
            another = threading.Thread(target=accept, daemon=True)
            another.start()
            another.join(PATIENCE)
            assert not another.is_alive()
            assert client.ask(b"x\n") == b"X\n"


def test_crowd_of_new_clients_keeps_no_other_waiting() -> None:
    """A thread accepts a few of them, and then serves what else it has found."""
    listener = Listener("127.0.0.1:0")
    gate = Gate()
    with serving(worker(gate), listener, threads=1) as server, ExitStack() as clients:
        clients.enter_context(connect(server)).send(b"hold\n")
        gate.wait()
        with listener._lock:  # which keeps the Monitor's thread out
            crowd = [clients.enter_context(connect(server)) for _ in range(3 * module._BATCH)]
            found: list[Connection] = []
            count = listener._accept(found.append, module._BATCH)
        assert count == len(found) == module._BATCH
        for connection in found:
            connection.close()
        eventually(lambda: server.statistics().accepted == 1 + len(crowd) - count)
        gate.opened.set()


def test_connection_that_ends_with_its_first_request_is_never_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    armed: list[int] = []
    arm = default_poller.arm  # type: ignore[attr-defined]

    def note(poller: object, descriptor: int, interest: int, *, first: bool) -> None:
        armed.append(descriptor)
        arm(poller, descriptor, interest, first=first)

    def last(connection: Connection, line: bytes, body: bytes) -> State:
        shout(connection, line, body)
        return State.CLOSED

    monkeypatch.setattr(default_poller, "arm", note)
    ready = threading.Event()
    told(monkeypatch, partial(wait_for, ready))
    with serving(worker(last)) as server:
        lent(server)
        with connect(server) as client:
            client.send(b"x\n")
            ready.set()
            assert client.read_line() == b"X\n"
            assert client.closed_by_server()
    assert not armed


def test_socket_of_another_making_is_accepted_from() -> None:
    class Patched(socket.socket):
        _accept = None

        def accept(self) -> tuple[socket.socket, object]:
            descriptor, address = _socket.socket._accept(self)  # type: ignore[attr-defined]
            return socket.socket(fileno=descriptor), address

    with Patched() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        acceptor = Acceptor(listening)
        assert not acceptor.client_waits()
        with socket.create_connection(listening.getsockname(), PATIENCE) as client:
            eventually(acceptor.client_waits)
            sock, address = acceptor.accept()
            with sock:
                assert address == client.getsockname()
                assert sock.family is socket.AF_INET


def test_paused_server_leaves_new_clients_in_the_backlog_and_serves_the_present_ones() -> None:
    with serving(worker()) as server, connect(server) as present:
        assert present.ask(b"a\n") == b"A\n"
        server.pause()
        eventually(lambda: not server.listeners[0]._lent)
        with connect(server) as client:
            client.send(b"b\n")
            assert present.ask(b"c\n") == b"C\n"
            assert server.statistics().accepted == 1
            server.resume()
            assert client.read_line() == b"B\n"


@pytest.mark.parametrize("shared", [None, lambda: 0.0], ids=["alone", "one of several"])
def test_paused_server_leaves_new_clients_to_another(shared: Callable[[], float] | None) -> None:
    """Each server stands for a process. One that is woken alone must not keep a client waiting."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        first, second = Listener(listening.dup()), Listener(listening.dup())
        first.shared = second.shared = shared
        with serving(worker(), first) as paused, serving(worker(), second) as other:
            paused.pause()
            eventually(lambda: not first._lent and not first._owed)
            for _ in range(20):
                with connect(other) as client:
                    assert client.ask(b"x\n") == b"X\n"
            assert paused.statistics().accepted == 0
            paused.resume()
            other.pause()
            eventually(lambda: not second._lent and not second._owed)
            before = other.statistics().accepted
            for _ in range(20):
                with connect(paused) as client:
                    assert client.ask(b"x\n") == b"X\n"
            assert other.statistics().accepted == before


@pytest.mark.parametrize("end", ["drain", "stop"])
def test_pause_ends_with_the_server(end: str) -> None:
    with serving(worker()) as server:
        server.pause()
        eventually(lambda: not server.listeners[0]._lent)
        getattr(server, end)()
        assert server.wait(PATIENCE)


def test_drain_accepts_what_has_come_in_a_pause() -> None:
    with serving(worker()) as server:
        server.pause()
        eventually(lambda: not server.listeners[0]._lent)
        with connect(server) as client:
            client.send(b"x\n")
            server.drain()
            assert client.read_line() == b"X\n"

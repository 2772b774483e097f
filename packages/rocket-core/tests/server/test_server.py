from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from coresupport import (
    Gate,
    compose_with,
    connect,
    expect_closes,
    port_of,
    rocket_threads,
    serving,
    states,
    wait_for,
    worker,
)
from rocket_core import (
    Connection,
    Lifecycle,
    LifecycleError,
    Listener,
    Peer,
    Server,
    State,
    Timeouts,
)
from rocket_core._engine.engine import Engine
from rocket_core.extending import OUTPUT_BOUND
from rocket_core.testing import (
    PATIENCE,
    Client,
    NarrowListener,
    Script,
    at_growing_scales,
    eventually,
    listening,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


def leaving(server: Server) -> Callable[[], bool]:
    """Return a function that tells whether the sockets that listen now do so no longer.

    Their port may be another process's by then.
    """
    port = port_of(server.listeners[0])
    sockets = listening(port)
    assert sockets
    return lambda: not sockets & listening(port)


def draining(server: Server) -> bool:
    """Return whether a drain has gone so far that no client is accepted any more."""
    return server.lifecycle is Lifecycle.DRAINING and port_of(server.listeners[0]) == 0


# -- life ------------------------------------------------------------------------------------------


def test_server_goes_through_its_lifecycle() -> None:
    server = Server(worker(), [Listener("127.0.0.1:0")])
    assert Lifecycle(server.lifecycle) is Lifecycle.NEW
    assert server.wait(0)
    with pytest.raises(LifecycleError, match="never started"):
        server.statistics()
    server.stop()
    server.drain()
    server.start()
    assert Lifecycle(server.lifecycle) is Lifecycle.RUNNING
    assert not server.wait(0)
    with pytest.raises(LifecycleError, match="cannot start a server that is running"):
        server.start()
    with connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
    server.stop()
    assert server.wait(PATIENCE)
    assert server.lifecycle is Lifecycle.STOPPED
    assert not rocket_threads()
    server.stop()
    server.drain(1)
    assert server.wait(0)


def test_stopped_server_may_be_started_again() -> None:
    server = Server(worker(), [Listener("127.0.0.1:0")], min_threads=2, max_threads=2)
    for _ in range(5):
        with server:
            with connect(server) as client, connect(server):
                assert client.ask(b"x\n") == b"X\n"
            assert server.statistics().requests == 1
        assert server.lifecycle is Lifecycle.STOPPED


def test_statistics_count_connections_requests_and_threads() -> None:
    gate = Gate()
    with serving(worker(gate), threads=3) as server, ExitStack() as clients:
        idle, head, active = (clients.enter_context(connect(server)) for _ in range(3))
        assert idle.ask(b"x\n") == b"X\n"
        head.send(b"half")
        active.send(b"hold\n")
        gate.wait()
        eventually(lambda: states(server) == {"idle": 1, "head": 1, "active": 1})
        statistics = server.statistics()
        assert (statistics.accepted, statistics.requests, statistics.closes) == (3, 2, {})
        assert (statistics.threads, statistics.stalled, statistics.ready) == (3, 0, 0)
        assert statistics.accept_errors == 0
        gate.opened.set()
        assert active.read_line() == b"HOLD\n"
        head.close()
        expect_closes(server, {"client closed": 1})
        eventually(
            lambda: states(server) == {"idle": 2}
        )  # the response is sent before the connection is parked


def test_resizing_a_server_out_of_range_changes_nothing() -> None:
    server = Server(worker(), [Listener("127.0.0.1:0")], min_threads=2, max_threads=3)
    server.resize(1, 1)
    with server:
        assert server.statistics().threads == 1
        with pytest.raises(ValueError, match="1 <= min_threads <= max_threads"):
            server.resize(3, 2)
        assert server.threads == (1, 1)


def test_list_connections_describes_each_connection() -> None:
    with pytest.raises(LifecycleError, match="no connections"):
        Server(worker(), [Listener("127.0.0.1:0")]).list_connections()
    with serving(worker()) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        eventually(lambda: [each.state for each in server.list_connections()] == [State.IDLE])
        (found,) = server.list_connections()
        assert str(found.peer) == client.name
        assert found.local == server.listeners[0].local
        assert found.requests == 1
        assert not found.secure
        assert found.protocol == found.kind == ""
        assert found.created <= time.time()


class AgreedConnection(Connection):
    """A connection of a layer whose handshake agrees on a protocol."""

    def handshake(self) -> bool:
        assert self.protocol == ""
        self.protocol = "line"
        return True


class AgreedListener(Listener):
    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        connection = AgreedConnection(sock, peer, self.local, timeouts=timeouts)
        connection.state = State.HANDSHAKE
        return connection


def test_the_protocol_that_a_layer_has_agreed_on_is_told_and_listed() -> None:
    def answer(connection: Connection, line: bytes, body: bytes) -> State:
        connection.write(f"{connection.protocol}\n".encode())
        return State.IDLE

    with (
        serving(worker(answer), AgreedListener("127.0.0.1:0")) as server,
        connect(server) as client,
    ):
        assert client.ask(b"x\n") == b"line\n"
        assert [each.protocol for each in server.list_connections()] == ["line"]


def test_bytes_that_a_client_does_not_take_are_listed_as_held() -> None:
    def answer(connection: Connection, line: bytes, body: bytes) -> State:
        connection.write(bytes(OUTPUT_BOUND * 8))
        return State.IDLE

    with (
        serving(worker(answer), NarrowListener()) as server,
        connect(server, receive_buffer=4096) as client,
    ):
        client.send(b"x\n")
        eventually(lambda: any(each.held for each in server.list_connections()))
        assert 0 < server.list_connections()[0].held <= OUTPUT_BOUND


def test_several_listeners_share_one_server(tmp_path: Any) -> None:
    listeners = [Listener("127.0.0.1:0"), Listener("127.0.0.1:0"), Listener(f"unix:{tmp_path}/s")]
    with Server(worker(), listeners) as server:
        for listener in listeners:
            with Client(listener.address) as client:
                assert client.ask(b"x\n") == b"X\n"
        assert server.statistics().requests == 3


@pytest.mark.parametrize(
    ("options", "trouble"),
    [
        ({"min_threads": 0}, "1 <= min_threads <= max_threads"),
        ({"min_threads": 3, "max_threads": 2}, "1 <= min_threads <= max_threads"),
        ({"max_connections": 0}, "max_connections must be at least 1"),
        ({"max_stalled": -1}, "max_stalled and max_upgraded must not be negative"),
        ({"max_upgraded": -1}, "max_stalled and max_upgraded must not be negative"),
        ({"max_output": -1}, "max_output and max_queue must not be negative"),
        ({"max_queue": -1}, "max_output and max_queue must not be negative"),
        ({"max_spool": -1}, "max_spool and spool_free must not be negative"),
        ({"spool_free": -1}, "max_spool and spool_free must not be negative"),
        ({"queue_timeout": 0}, "queue_timeout must be greater than 0"),
        ({"watchdog": 0}, "watchdog must be greater than 0"),
        ({"request_timeout": 0}, "request_timeout must be greater than 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, int], trouble: str) -> None:
    with pytest.raises(ValueError, match=trouble):
        Server(worker(), [Listener("127.0.0.1:0")], **options)  # type: ignore[arg-type]


def test_server_without_listeners_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one listener"):
        Server(worker(), [])


def test_worker_that_cannot_be_made_prevents_the_start() -> None:
    def factory() -> Any:
        raise ValueError("no such thing")

    server = Server(factory, [Listener("127.0.0.1:0")])
    with pytest.raises(ValueError, match="no such thing"):
        server.start()
    assert server.lifecycle is Lifecycle.NEW


class Hasty(Listener):
    """Stops the server while it starts."""

    server: Server

    def start(self, *arguments: Any) -> None:
        self.server.stop()
        super().start(*arguments)


class Signalled(Listener):
    """Sends a signal to the main thread while the server starts."""

    def start(self, *arguments: Any) -> None:
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGUSR1)
        super().start(*arguments)


def test_signal_handler_may_stop_a_starting_server_and_wait_for_its_end() -> None:
    """The handler runs on the thread that is in `Server.start`."""
    server = Server(worker(), [Signalled("127.0.0.1:0"), Listener("127.0.0.1:0")])
    stopped: list[bool] = []

    def handle(*_: object) -> None:
        server.stop()
        stopped.append(server.wait(PATIENCE))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        server.start()
        eventually(lambda: stopped)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert stopped == [True]
    assert not rocket_threads()


def test_stop_may_come_while_the_server_starts(caplog: pytest.LogCaptureFixture) -> None:
    listeners = [Listener("127.0.0.1:0"), Hasty("127.0.0.1:0"), Listener("127.0.0.1:0")]
    server = Server(worker(), listeners)
    for listener in listeners:
        if isinstance(listener, Hasty):
            listener.server = server
    server.start()
    assert server.wait(PATIENCE)
    assert server.lifecycle is Lifecycle.STOPPED
    assert not caplog.records


# -- stop ------------------------------------------------------------------------------------------


def test_stop_closes_every_connection(gate: Gate) -> None:
    with ExitStack() as clients, serving(worker(gate), threads=1) as server:
        crowd = [clients.enter_context(connect(server)) for _ in range(6)]
        crowd[0].send(b"hold\n")
        gate.wait()
        crowd[1].send(b"half")
        crowd[2].send(b"body 5\nab")
        for client in crowd[3:5]:
            client.send(b"waits for a worker\n")
        eventually(
            lambda: states(server) == {"active": 1, "head": 1, "body": 1, "ready": 2, "idle": 1}
        )
        server.stop()
        for client in crowd:
            assert client.read_all() == b""
        gate.opened.set()
        assert server.wait(PATIENCE)
        statistics = server.statistics()
        assert statistics.connections == {}
        assert statistics.requests == 1
        assert sum(statistics.closes.values()) == 6
        assert statistics.closes["stopped"] >= 5


def test_stop_does_not_wait_for_the_application(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rocket_core._server.server._STOP_PATIENCE", 0.05)
    with serving(worker(gate)) as server, connect(server) as client:
        client.send(b"hold\n")
        gate.wait()
        server.stop()
        assert server.wait(PATIENCE)
    (thread,) = rocket_threads()
    assert caplog.messages == [
        f"thread {thread.name} still runs in the application: leaving it behind"
    ]
    gate.opened.set()
    thread.join(PATIENCE)
    eventually(lambda: server.statistics().connections == {})


# -- drain -----------------------------------------------------------------------------------------


def test_drain_ends_an_idle_server() -> None:
    with serving(worker()) as server:
        server.drain()
        assert server.wait(PATIENCE)


def test_drain_closes_idle_connections() -> None:
    with serving(worker()) as server, ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(5)]
        for client in crowd:
            assert client.ask(b"x\n") == b"X\n"
        server.drain()
        for client in crowd:
            assert client.read_all() == b""
        assert server.wait(PATIENCE)
        assert server.statistics().closes == {"drained": 5}


def test_drain_waits_a_moment_for_new_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    def drained(scale: float) -> None:
        grace = 0.5 * scale
        compose_with(monkeypatch, Engine, drain_grace=grace)
        with serving(worker()) as server, ExitStack() as clients:
            with within(grace):
                quick, silent = (clients.enter_context(connect(server)) for _ in range(2))
                eventually(lambda: states(server) == {"idle": 2})
                server.drain()
                eventually(lambda: draining(server))
                assert quick.ask(b"x\n") == b"X\n"
            assert quick.read_all() == b""
            assert silent.read_all() == b""
            assert server.wait(PATIENCE)
            assert server.statistics().closes == {"drained": 2}

    at_growing_scales(drained)


def test_request_that_is_on_its_way_when_the_server_drains_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that has just been answered may have sent the next request."""
    compose_with(monkeypatch, Engine, drain_grace=PATIENCE)  # on a busy machine, too
    with serving(worker()) as server, ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(5)]
        for client in crowd:
            assert client.ask(b"x\n") == b"X\n"
        server.drain()
        eventually(lambda: draining(server))
        for client in crowd:
            assert client.ask(b"y\n") == b"Y\n"
            assert client.read_all() == b""
        assert server.wait(PATIENCE)
        assert server.statistics().closes == {"drained": 5}


def test_drain_closes_connections_at_once_that_have_long_been_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compose_with(monkeypatch, Engine, drain_grace=PATIENCE * 10)
    with serving(worker()) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        eventually(lambda: states(server) == {"idle": 1})
        (connection,) = server._registry.snapshot()
        connection.deadline -= PATIENCE * 10  # as if it had become idle so long ago
        server.drain()
        assert client.read_all() == b""
        assert server.wait(PATIENCE)


def test_drain_finishes_requests_that_have_begun(gate: Gate) -> None:
    with serving(worker(gate), threads=1) as server, ExitStack() as clients:
        has_left = leaving(server)
        active, ready, head, body = (clients.enter_context(connect(server)) for _ in range(4))
        active.send(b"hold\n")
        gate.wait()
        ready.send(b"ready\n")
        head.send(b"he")
        body.send(b"body 4\nbo")
        expected = {"active": 1, "ready": 1, "head": 1, "body": 1}
        eventually(lambda: states(server) == expected)
        server.drain()
        eventually(lambda: draining(server))
        assert has_left()
        assert states(server) == expected
        gate.opened.set()
        assert active.read_all() == b"HOLD\n"
        assert ready.read_all() == b"READY\n"
        head.send(b"ad\n")
        assert head.read_all() == b"HEAD\n"
        assert server.wait_closed(0)
        assert not server.wait(0)
        body.send(b"dy")
        assert body.read_all() == b"BODY 4\nBODY"
        assert server.wait(PATIENCE)
        assert server.statistics().closes == {"drained": 4}


def test_drain_sends_responses_that_clients_have_not_taken() -> None:
    content = bytes(range(256)) * 40_000

    def large(connection: Connection, line: bytes, body: bytes) -> State:
        del line, body
        assert not connection.draining
        connection.write(content)
        return State.IDLE

    with serving(worker(large)) as server, connect(server, receive_buffer=64 * 1024) as client:
        client.send(b"x\n")
        eventually(lambda: server.statistics().requests == 1)
        server.drain()
        eventually(lambda: draining(server))
        assert client.read_all() == content
        assert server.wait(PATIENCE)


def test_worker_knows_that_its_request_is_the_last(gate: Gate) -> None:
    def tell(connection: Connection, line: bytes, body: bytes) -> State:
        del body
        gate(connection, line, b"")
        connection.write(b"last\n" if connection.draining else b"not last\n")
        return State.IDLE

    with serving(worker(tell)) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        assert client.read_line() == b"not last\n"
        client.send(b"hold\n")
        gate.wait()
        server.drain()
        eventually(lambda: draining(server))
        gate.opened.set()
        assert client.read_all() == b"HOLD\nlast\n"


class Slow(Listener):
    """Waits with the first client, so that the other clients stay in the backlog."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:0")
        self.begun, self.go_on = threading.Event(), threading.Event()

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        self.begun.set()
        wait_for(self.go_on)
        return super().connect(sock, peer, timeouts)


def test_drain_serves_the_backlog() -> None:
    listener = Slow()
    with serving(worker(), listener) as server, ExitStack() as clients:
        has_left = leaving(server)
        crowd = [clients.enter_context(connect(server)) for _ in range(5)]
        for client in crowd:
            client.send(b"x\n")
        wait_for(listener.begun)
        assert server.statistics().accepted == 0
        server.drain()
        eventually(lambda: server.lifecycle is Lifecycle.DRAINING)
        listener.go_on.set()
        for client in crowd:
            assert client.read_all() == b"X\n"
        assert server.wait(PATIENCE)
        assert has_left()
        assert server.statistics().accepted == 5


def test_drain_serves_the_backlog_as_there_is_room(gate: Gate) -> None:
    with serving(worker(gate), max_connections=2) as server, ExitStack() as clients:
        has_left = leaving(server)
        busy, waiting = (
            [clients.enter_context(connect(server)) for _ in range(2)] for _ in range(2)
        )
        for client in busy:
            client.send(b"hold\n")
        gate.wait(2)
        silent = clients.enter_context(connect(server))
        for client in waiting:
            client.send(b"x\n")
        server.drain()
        eventually(lambda: server.lifecycle is Lifecycle.DRAINING)
        assert server.statistics().accepted == 2
        gate.opened.set()
        for client in busy:
            assert client.read_all() == b"HOLD\n"
        for client in waiting:
            assert client.read_all() == b"X\n"
        assert silent.read_all() == b""
        assert server.wait(PATIENCE)
        assert has_left()
        assert server.statistics().accepted == 5


def test_connections_left_at_the_end_of_a_drain_are_logged_and_cut(
    gate: Gate, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rocket_core._server.server._STOP_PATIENCE", 0.05)
    caplog.set_level(logging.DEBUG, "rocket_core.server")
    with serving(worker(gate)) as server, connect(server) as active, connect(server) as head:
        active.send(b"hold\n")
        gate.wait()
        assert head.ask(b"x\n") == b"X\n"
        head.send(b"half")
        eventually(lambda: states(server) == {"active": 1, "head": 1})
        names = active.name, head.name
        server.drain(0.1)
        assert server.wait(PATIENCE)
        assert active.read_all() == b""
        assert head.read_all() == b""
        gate.opened.set()
    details = {text for text in caplog.messages if text.startswith("the drain ends before")}
    assert details == {
        f"the drain ends before {names[0]}, state active, 1 requests served",
        f"the drain ends before {names[1]}, state head, 1 requests served",
    }
    summary, stuck = [each for each in caplog.records if each.levelno == logging.WARNING]
    beginning, _, parts = summary.getMessage().rpartition(": ")
    assert beginning == "drain timeout reached: closing the remaining connections"
    assert set(parts.split(", ")) == {
        "1 had a request in the application",
        "1 had not finished sending a request",
    }
    assert "still runs in the application" in stuck.getMessage()


@pytest.mark.parametrize("times", [(None, 0.05), (1000.0, 0.05), (0.05, 1000.0), (0.05, None)])
def test_draining_twice_takes_the_shorter_time(times: tuple[float | None, float | None]) -> None:
    with serving(worker()) as server, connect(server) as client:
        client.send(b"half")
        eventually(lambda: states(server) == {"head": 1})
        for timeout in times:
            server.drain(timeout)
        assert server.wait(PATIENCE)
        assert client.read_all() == b""


def test_stop_ends_a_drain(gate: Gate) -> None:
    with serving(worker(gate)) as server, connect(server) as client, connect(server) as half:
        client.send(b"hold\n")
        gate.wait()
        half.send(b"half")
        eventually(
            lambda: states(server).get("head") == 1
        )  # closing with unread bytes would be a reset
        server.drain()
        eventually(lambda: draining(server))
        assert not server.wait(0)
        server.stop()
        assert client.read_all() == b""
        assert half.read_all() == b""
        gate.opened.set()
        assert server.wait(PATIENCE)


def test_many_threads_may_stop_and_drain_at_once() -> None:
    with serving(worker()) as server, connect(server) as client:
        client.send(b"half")
        orders = [server.drain, server.stop] * 5
        threads = [threading.Thread(target=order) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert server.wait(PATIENCE)
        assert client.closed_by_server()


def test_many_threads_may_wait_for_the_end() -> None:
    with serving(worker()) as server:
        results: list[bool] = []
        threads = [
            threading.Thread(target=lambda: results.append(server.wait(PATIENCE))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        server.drain()
        for thread in threads:
            thread.join(PATIENCE)
        assert results == [True] * 4


# -- one of several processes ----------------------------------------------------------------------


def test_backlog_of_a_shared_socket_is_left_to_other_servers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = Listener(shared.dup())
        server = Server(worker(), [listener], min_threads=1)
        server.start(accept=False)
        with socket.create_connection(shared.getsockname(), PATIENCE) as sock:
            server.drain(shared=[listener])
            assert server.wait(PATIENCE)
            assert server.statistics().accepted == 0
            with serving(worker(), Listener(shared.dup())):
                sock.sendall(b"x\n")
                assert sock.recv(2) == b"X\n"


def test_no_client_is_accepted_before_accept_is_called() -> None:
    server = Server(worker(), [Listener("127.0.0.1:0")], min_threads=1)
    server.start(accept=False)
    with connect(server) as early, server_stopped(server):
        assert not server.wait_closed(0)
        early.send(b"early\n")
        ours, theirs = socket.socketpair()
        with ours:
            server.handle(theirs)
            ours.sendall(b"first\n")
            assert ours.recv(6) == b"FIRST\n"
        assert server.statistics().accepted == 1
        server.accept()
        assert early.read_line() == b"EARLY\n"


@contextmanager
def server_stopped(server: Server) -> Iterator[None]:
    yield
    server.stop()
    assert server.wait(PATIENCE)


# -- signals ---------------------------------------------------------------------------------------


SIGNALLED = """
import signal, sys, threading
from coresupport import LineWorker, shout
from rocket_core import Listener, Server, State

def handle(connection, line, body):
    if line == b"hold":
        print("holding", flush=True)
        while not connection.draining:
            threading.Event().wait(0.01)
    return shout(connection, line, body)

server = Server(lambda: LineWorker(handle), [Listener("127.0.0.1:0")])
signal.signal(signal.SIGTERM, lambda *_: server.drain(30))
signal.signal(signal.SIGINT, lambda *_: server.stop())
server.start()
print(server.listeners[0].address.port, flush=True)
server.wait()
print(server.lifecycle.value, threading.active_count(), flush=True)
"""


def test_signal_handler_may_drain() -> None:
    with Script(SIGNALLED) as script, ExitStack() as clients:
        listener = Listener(f"127.0.0.1:{int(script.read_line())}")
        active, idle = (clients.enter_context(Client(listener.address)) for _ in range(2))
        assert idle.ask(b"x\n") == b"X\n"
        active.send(b"hold\n")
        assert script.read_line() == "holding\n"
        for _ in range(20):  # as an impatient user does
            script.signal(signal.SIGTERM)
        assert active.read_all() == b"HOLD\n"
        assert idle.read_all() == b""
        assert script.read_line() == "stopped 1\n"
        assert script.finish() == ""


ELSEWHERE = """
# The main thread, which alone runs handlers, receives no signal: another thread does.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
server.wait()
"""


def test_signal_that_another_thread_receives_is_handled() -> None:
    with Script(SIGNALLED.replace("server.wait()\n", ELSEWHERE)) as script:
        script.read_line()
        script.signal(signal.SIGTERM)
        assert script.read_line() == "stopped 1\n"
        assert script.finish() == ""


def test_signal_handler_may_stop() -> None:
    with Script(SIGNALLED) as script:
        listener = Listener(f"127.0.0.1:{int(script.read_line())}")
        with Client(listener.address) as client:
            client.send(b"half")
            script.signal(signal.SIGINT)
            assert client.closed_by_server()
            assert script.read_line() == "stopped 1\n"
            assert script.finish() == ""


# -- failures --------------------------------------------------------------------------------------


class Stranger:
    """What `threading.current_thread` returns once gevent has patched it: it cannot be joined."""

    daemon = True
    name = "stranger"

    def is_alive(self) -> bool:
        return True

    def join(self, timeout: float | None = None) -> None:
        del timeout
        raise AssertionError("cannot join a dummy thread")


def test_server_stops_although_its_application_has_patched_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(worker()) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        monkeypatch.setattr(threading, "current_thread", Stranger)
        server.stop()
        assert server.wait(PATIENCE)
        monkeypatch.undo()
        assert server._pool.join(0) == []


def test_server_stops_whatever_fails_meanwhile(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(worker()) as server:
        join = server._urgent_lanes.join

        def fail(timeout: float) -> list[str]:
            join(timeout)
            raise AssertionError("cannot join a dummy thread")

        monkeypatch.setattr(server._urgent_lanes, "join", fail)
        server.stop()
        assert server.wait(PATIENCE)
    assert "error on the Monitor's thread" in caplog.text

"""An application takes a connection over as an upgraded socket."""

from __future__ import annotations

import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from coresupport import connect, serving, shout, states, wait_for, worker
from rocket_core import Connection, State, Timeouts
from rocket_core._errors import NotYet
from rocket_core._server.overdue_watch import OverdueWatch
from rocket_core.extending import READ, WRITE, UpgradedSocket
from rocket_core.testing import PATIENCE, TooSlow, at_growing_scales, eventually, within

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from rocket_core import Worker


def taking(use: Callable[[UpgradedSocket], object]) -> Callable[[], Worker]:
    """Make a worker that gives the connection to ``use`` for ``take``, and answers other lines."""

    def handle(connection: Connection, line: bytes, body: bytes) -> State:
        if line != b"take":
            return shout(connection, line, body)
        offered = UpgradedSocket(connection)
        with suppress(OSError):
            use(offered)
        offered.end()
        return State.LINGER if offered.taken else State.IDLE

    return worker(handle)


def echo(taken: UpgradedSocket) -> None:
    while data := taken.recv(4096):
        taken.sendall(data)


def test_both_sides_talk_while_other_clients_are_served() -> None:
    with (
        serving(taking(echo), threads=1) as server,
        connect(server) as client,
        connect(server) as other,
    ):
        assert client.ask(b"x\n") == b"X\n"
        client.send(b"take\nand this, sent with it\n")
        assert client.read_line() == b"and this, sent with it\n"
        assert client.ask(b"more\n") == b"more\n"
        assert other.ask(b"x\n") == b"X\n"
        eventually(lambda: states(server) == {"upgraded": 1, "idle": 1})
        assert server.statistics().stalled == 1
        client.half_close()
        assert client.read_all() == b""
        eventually(lambda: states(server) == {"idle": 1})
        assert server.statistics().stalled == 0


def test_unused_socket_is_not_taken() -> None:
    with serving(taking(lambda _: None)) as server, connect(server) as client:
        client.send(b"take\n")
        assert client.ask(b"x\n") == b"X\n"


def test_withdrawn_socket_cannot_be_taken(pair: tuple[Connection, socket.socket]) -> None:
    connection, _ = pair
    offered = UpgradedSocket(connection)
    assert offered.withdraw()
    with pytest.raises(OSError, match="the connection is closed"):
        offered.sendall(b"x")
    assert not offered.taken


@pytest.fixture
def taken(pair: tuple[Connection, socket.socket]) -> tuple[UpgradedSocket, socket.socket]:
    connection, client = pair
    connection.enter(State.READY)
    connection.enter(State.ACTIVE)
    return UpgradedSocket(connection), client


def test_receiving_and_sending_raise_after_the_time_out(
    taken: tuple[UpgradedSocket, socket.socket],
) -> None:
    sock, client = taken
    sock.settimeout(0.01)
    assert sock.gettimeout() == 0.01
    with pytest.raises(TimeoutError):
        sock.recv(1)
    client.sendall(b"x")
    sock.settimeout(None)
    assert sock.recv(10) == b"x"
    sock.settimeout(0.01)
    with pytest.raises(TimeoutError):
        sock.sendall(bytes(100_000_000))
    with pytest.raises(OSError):  # noqa: PT011 - the system chooses the error
        sock.sendall(b"x")
    with pytest.raises(ValueError, match="must not be negative"):
        sock.settimeout(-1)
    sock.end()


def test_large_messages_wait_for_the_client(taken: tuple[UpgradedSocket, socket.socket]) -> None:
    sock, client = taken
    message = bytes(range(250)) * 40_000
    sender = threading.Thread(target=sock.sendall, args=(message,))
    sender.start()
    received = bytearray()
    while len(received) < len(message):
        received += client.recv(1 << 20)
    sender.join(PATIENCE)
    assert received == message
    assert sock.sent == len(message)
    sock.end()


def test_messages_of_two_threads_are_not_interleaved(
    taken: tuple[UpgradedSocket, socket.socket],
) -> None:
    sock, client = taken
    size = 3_000_000
    senders = [threading.Thread(target=sock.send, args=(bytes([n]) * size,)) for n in (1, 2)]
    for each in senders:
        each.start()
    received = bytearray()
    while len(received) < 2 * size:
        received += client.recv(1 << 20)
    for each in senders:
        each.join(PATIENCE)
    assert bytes(received) in (
        b"\1" * size + b"\2" * size,
        b"\2" * size + b"\1" * size,
    )
    sock.end()


def test_descriptor_is_ready_while_bytes_are_buffered(
    taken: tuple[UpgradedSocket, socket.socket],
) -> None:
    sock, client = taken

    def ready() -> bool:
        return bool(select.select([sock], [], [], 0)[0])

    assert not ready()
    client.sendall(b"abc")
    assert select.select([sock], [], [], PATIENCE)[0]
    assert sock.recv(1) == b"a"
    assert ready()
    assert sock.recv(10) == b"bc"
    assert not ready()
    client.close()
    assert select.select([sock], [], [], PATIENCE)[0]
    assert sock.recv(10) == b""
    sock.close()
    assert sock.fileno() == -1
    sock.end()


def test_close_ends_waiting_threads_and_the_stream_of_the_client(
    taken: tuple[UpgradedSocket, socket.socket],
) -> None:
    sock, client = taken
    ended = threading.Event()

    def wait() -> None:
        with suppress(OSError):
            sock.recv(1)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: sock._waiting)
    sock.close()
    wait_for(ended)
    thread.join()
    assert client.recv(1) == b""
    for use in (lambda: sock.recv(1), lambda: sock.send(b"x"), lambda: sock.shutdown(2)):
        with pytest.raises(OSError, match="the connection is closed"):
            use()
    sock.close()
    sock.end()


def test_end_of_the_application_ends_the_waits_of_its_other_threads(
    taken: tuple[UpgradedSocket, socket.socket],
) -> None:
    sock, _ = taken
    failed = threading.Event()

    def wait() -> None:
        try:
            sock.recv(1)
        except OSError:
            failed.set()

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: sock._waiting)
    sock.end()
    assert failed.wait(PATIENCE)
    thread.join()


def test_client_that_takes_nothing_is_cut() -> None:
    failed = threading.Event()

    def pour(sock: UpgradedSocket) -> None:
        try:
            while True:
                sock.sendall(bytes(100_000))
        except TimeoutError:
            failed.set()

    with (
        serving(taking(pour), timeouts=Timeouts(stall=0.2)) as server,
        connect(server, receive_buffer=4096) as client,
    ):
        client.send(b"take\n")
        wait_for(failed)
        eventually(lambda: not states(server))


def test_reset_ends_an_upgraded_connection() -> None:
    with serving(taking(echo)) as server, connect(server) as client:
        client.send(b"take\n")
        assert client.ask(b"x\n") == b"x\n"
        client.reset()
        eventually(lambda: not states(server))
        assert server.statistics().stalled == 0


def test_drain_ends_receiving_and_lets_the_application_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = threading.Event()

    def answer(sock: UpgradedSocket) -> None:
        echo(sock)
        ended.set()
        sock.sendall(b"goodbye\n")

    with serving(taking(answer)) as server, connect(server) as client:
        client.send(b"take\n")
        assert client.ask(b"x\n") == b"x\n"
        server.drain()  # without a limit of time
        wait_for(ended)
        assert client.read_all() == b"goodbye\n"
        assert server.wait(PATIENCE)
    assert not caplog.records


def test_end_of_a_drain_cuts_and_logs_an_upgraded_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leave = threading.Event()

    def linger(sock: UpgradedSocket) -> None:
        sock.sendall(b"hello\n")
        wait_for(leave)

    with serving(taking(linger)) as server, connect(server) as client:
        client.send(b"take\n")
        assert client.read_line() == b"hello\n"
        server.drain(0.1)
        assert client.closed_by_server()
        leave.set()
        assert server.wait(PATIENCE)
    assert "1 had been taken over by the application" in caplog.text


def test_stop_closes_an_upgraded_connection() -> None:
    with serving(taking(echo)) as server, connect(server) as client:
        client.send(b"take\n")
        assert client.ask(b"x\n") == b"x\n"
        server.stop()
        assert client.closed_by_server()
        assert server.wait(PATIENCE)


def test_no_more_connections_are_taken_over_than_max_upgraded() -> None:
    refused = threading.Event()

    def use(sock: UpgradedSocket) -> None:
        try:
            sock.sendall(b"hello\n")
        except OSError:
            refused.set()
            raise
        echo(sock)

    with (
        serving(taking(use), threads=1, max_upgraded=1) as server,
        connect(server) as first,
        connect(server) as second,
    ):
        first.send(b"take\n")
        assert first.read_line() == b"hello\n"
        second.send(b"take\n")
        wait_for(refused)
        assert second.ask(b"x\n") == b"X\n"


def test_request_timeout_does_not_end_an_upgraded_connection() -> None:
    at_growing_scales(outlives_the_request_timeout)


def outlives_the_request_timeout(scale: float) -> None:
    limit = 0.1 * scale

    def work(sock: UpgradedSocket) -> None:
        sock.sendall(b"hello\n")
        echo(sock)

    with (
        serving(taking(work), request_timeout=limit) as server,
        connect(server) as client,
        connect(server) as other,
    ):
        with within(limit):
            client.send(b"take\n")
            assert client.read_line() == b"hello\n"
        (watch,) = (
            each for each in server._monitor_thread._watchers if isinstance(each, OverdueWatch)
        )
        leases = watch._limit._leases
        eventually(lambda: not leases)  # the request was looked at when its time was up
        assert client.ask(b"x\n") == b"x\n"
        with within(limit):
            assert other.ask(b"x\n") == b"X\n"


def test_upgraded_connections_take_no_places_of_max_stalled() -> None:
    with (
        serving(taking(echo), threads=1, max_stalled=0, max_upgraded=2) as server,
        connect(server) as first,
        connect(server) as second,
        connect(server) as other,
    ):
        for client in (first, second):
            client.send(b"take\n")
            assert client.ask(b"x\n") == b"x\n"
        assert other.ask(b"x\n") == b"X\n"


def test_silent_connection_is_cut_and_a_talking_connection_goes_on() -> None:
    at_growing_scales(silent_is_cut)


def silent_is_cut(scale: float) -> None:
    limit = 0.5 * scale
    talking = Timeouts(silence=limit)
    late = threading.Event()
    with (
        serving(taking(echo), threads=1, timeouts=talking) as server,
        connect(server) as silent,
        connect(server) as client,
        connect(server) as other,
    ):
        silent.send(b"take\n")
        client.send(b"take\n")
        done = threading.Event()

        def talk() -> None:
            try:
                while not done.is_set():
                    with within(limit / 2):
                        assert client.ask(b"x\n") == b"x\n"
            except TooSlow:
                late.set()

        talker = threading.Thread(target=talk)
        talker.start()
        assert silent.closed_by_server()
        eventually(lambda: server.statistics().closes.get("upgraded connection silent"))
        assert other.ask(b"x\n") == b"X\n"
        done.set()
        talker.join(PATIENCE)
        if late.is_set():
            raise TooSlow
        assert states(server)["upgraded"] == 1
        assert server.statistics().closes == {"upgraded connection silent": 1}


def test_connection_on_which_only_the_server_talks_is_not_silent() -> None:
    at_growing_scales(talking_server_is_not_silent)


def talking_server_is_not_silent(scale: float) -> None:
    told = threading.Event()
    limit = 0.5 * scale

    def tell(sock: UpgradedSocket) -> None:
        for number in range(30):
            sock.sendall(b"%d\n" % number)
            told.wait(limit / 10)
        sock.recv(1)

    timeouts = Timeouts(silence=limit)
    with serving(taking(tell), timeouts=timeouts) as server, connect(server) as client:
        client.send(b"take\n")
        for number in range(30):
            with within(limit / 2):
                assert client.read_line() == b"%d\n" % number
        assert client.closed_by_server()


def test_flags_and_negative_sizes_are_refused(taken: tuple[UpgradedSocket, socket.socket]) -> None:
    sock, _ = taken
    with pytest.raises(ValueError, match="flags must be 0"):
        sock.recv(1, 2)
    with pytest.raises(ValueError, match="flags must be 0"):
        sock.send(b"", 2)
    with pytest.raises(ValueError, match="negative"):
        sock.recv(-1)
    assert not sock.taken


class Owing(Connection):
    """Receiving waits for reading and writing, as with TLS that has bytes to send first."""

    def receive_now(self, size: int) -> bytes:
        del size
        raise NotYet(READ | WRITE)


def test_end_of_the_input_is_seen_whatever_a_layer_below_waits_for(
    sockets: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    connection = Owing(sockets()[0])
    with suppress(BlockingIOError):
        while True:
            connection._socket.send(bytes(1 << 20))
    connection.enter(State.READY)
    connection.enter(State.ACTIVE)
    sock = UpgradedSocket(connection)
    received: list[bytes] = []
    receiver = threading.Thread(target=lambda: received.append(sock.recv(1)), daemon=True)
    receiver.start()
    eventually(lambda: sock._waiting)
    sock.end_input()
    receiver.join(PATIENCE)
    assert received == [b""]
    sock.end()
    connection.close()

"""The public tools for tests, with servers that they are made for."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import socket
import threading
from typing import TYPE_CHECKING
from unittest import SkipTest

import pytest

from coresupport import LineWorker, connect, serving, wait_for, worker
from rocket_core import Connection, Listener, State, TCPAddress, UnixAddress
from rocket_core import testing as module
from rocket_core.testing import (
    NARROW,
    Client,
    Load,
    NarrowListener,
    Script,
    ServerProcess,
    at_growing_scales,
    descriptors,
    eventually,
    listening,
    many_descriptors,
    resident,
    unused_port,
    within,
)

if TYPE_CHECKING:
    from pathlib import Path

IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

SERVER = """
from coresupport import worker
from rocket_core import Listener, Server
from rocket_core.testing import report_to_parent
with Server(worker(), [Listener("127.0.0.1:0")], min_threads=1, max_threads=1) as server:
    report_to_parent(server)
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up at once."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)


def client_of(data: bytes) -> tuple[Client, socket.socket]:
    """A client that has been sent ``data`` and the end of the stream, and the other end."""
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    return Client(ours), theirs


def test_eventually_returns_once_the_condition_holds() -> None:
    results = iter([0, None, "yes"])
    eventually(lambda: next(results))
    assert next(results, "none left") == "none left"


def test_eventually_says_what_did_not_happen(impatient: None) -> None:
    with pytest.raises(AssertionError, match="waited in vain for rain"):
        eventually(lambda: False, "for rain")


def test_a_test_is_repeated_with_longer_times_on_a_machine_that_is_too_slow() -> None:
    scales = []

    def test(scale: float) -> None:
        scales.append(scale)
        with within(0 if scale < 9 else 1000):
            assert scale == 9

    at_growing_scales(test)
    assert scales == [1, 3, 9]


def test_a_failure_in_time_counts() -> None:
    def test(scale: float) -> None:
        with within(1000):
            raise AssertionError("a fault")

    with pytest.raises(AssertionError, match="a fault"):
        at_growing_scales(test)


def test_a_machine_that_is_never_fast_enough_fails_the_test() -> None:
    def test(scale: float) -> None:
        with within(-1):
            pass

    with pytest.raises(AssertionError, match="even for times that are 9 times as long"):
        at_growing_scales(test)


def test_a_client_reads_lines_sizes_and_the_rest() -> None:
    client, other = client_of(b"one\ntwo\n12345rest")
    with other, client:
        assert client.read_line() == b"one\n"
        assert client.read_line() == b"two\n"
        assert client.read(5) == b"12345"
        assert client.read_all() == b"rest"
        assert client.read_line() == client.read(1) == b""


def test_a_client_connects_to_every_kind_of_address(tmp_path: Path) -> None:
    for address in ("127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/s"):
        with serving(worker(), Listener(address)) as server, connect(server) as client:
            assert client.ask(b"x\n") == b"X\n"
            with Client(str(server.listeners[0].address)) as other:
                assert other.ask(b"y\n") == b"Y\n"


def test_a_client_that_cannot_connect_leaves_no_descriptor(tmp_path: Path) -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        Client(UnixAddress(tmp_path / "nothing"))
    assert descriptors() == before


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP", b"abc"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"abc",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", b""),
    ],
    ids=["length", "chunks", "until the end", "no body"],
)
def test_a_client_reads_an_answer(sent: bytes, body: bytes) -> None:
    client, other = client_of(sent)
    with other, client:
        assert client.answer().body == body


def test_an_answer_has_its_fields() -> None:
    client, other = client_of(b"HTTP/1.1 200 Quite Fine\r\nA: 1\r\nB: 2\r\nB: 3\r\n\r\n")
    with other, client:
        answer = client.head()
    assert (answer.version, answer.status, answer.reason) == ("HTTP/1.1", 200, "Quite Fine")
    assert answer["a"] == "1"
    assert "A" in answer
    assert "C" not in answer
    with pytest.raises(AssertionError, match=r"2.*3"):
        answer["B"]


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"1\r\na0\r\n\r\n",
    ],
    ids=["line without CR", "two kinds of framing", "chunk without end"],
)
def test_a_client_refuses_an_answer_that_is_framed_badly(sent: bytes) -> None:
    client, other = client_of(sent)
    with other, client, pytest.raises(AssertionError):
        client.answer()


def test_a_client_that_half_closes_still_reads() -> None:
    with serving(worker()) as server, connect(server) as client:
        client.send(b"x\n")
        client.half_close()
        assert client.read_all() == b"X\n"
        assert client.closed_by_server()


def test_a_reset_reaches_the_server() -> None:
    with serving(worker()) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        client.reset()
        eventually(lambda: not server.statistics().connections)


def test_a_narrow_listener_takes_little_for_a_client_that_does_not_read() -> None:
    taken = []
    full = threading.Event()

    def fill(connection: Connection, line: bytes, body: bytes) -> State:
        while (count := connection.send_now(bytes(NARROW))) is not None:
            taken.append(count)
        full.set()
        return State.CLOSED

    with (
        serving(lambda: LineWorker(fill), NarrowListener()) as server,
        connect(server, receive_buffer=NARROW) as client,
    ):
        client.send(b"x\n")
        wait_for(full)
        assert client.closed_by_server()
    assert 0 < sum(taken) < 20 * NARROW


def test_many_descriptors_raise_the_limit_meanwhile() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with many_descriptors(10):
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_a_test_that_needs_too_many_descriptors_is_skipped() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(SkipTest, match=f"the system allows {hard} open files"):  # noqa: SIM117
        with many_descriptors(hard + 1):
            pass


def test_resident_memory_grows_with_what_is_kept() -> None:
    size = 20 << 20
    before = resident()
    with mmap.mmap(-1, size) as kept:  # memory of the heap may have been resident before
        for at in range(0, size, mmap.PAGESIZE):
            kept[at] = 1
        assert resident() - before > size // 2


def test_a_script_answers_and_ends() -> None:
    with Script("print(input().upper(), flush=True); input()") as script:
        assert script.ask("hello") == "HELLO\n"
        assert script.finish("bye\n") == ""


def test_a_script_that_fails_says_why() -> None:
    with Script("raise SystemExit('no luck')") as script:
        with pytest.raises(AssertionError, match="no luck"):
            script.read_line()
        with pytest.raises(AssertionError):
            script.finish()


def test_a_script_gets_signals() -> None:
    with Script("import signal; print(flush=True); signal.pause()") as script:
        script.read_line()
        script.signal(signal.SIGKILL)
        with pytest.raises(AssertionError):
            script.finish()


def test_a_server_in_a_process_of_its_own_reports_and_ends() -> None:
    with ServerProcess(SERVER) as server:
        assert isinstance(server.address, TCPAddress)
        client = server.connect()
        assert client.ask(b"x\n") == b"X\n"
        report = server.until(lambda report: report.connections == {"idle": 1})
        assert (report.threads, report.stalled, report.busy, report.held) == (1, 0, 0, 0)
        assert report.resident > 1 << 20
        assert report.descriptors > 3
        assert report.spooled == []
    assert client.socket.fileno() < 0


def test_what_is_awaited_of_a_server_in_vain_is_shown(impatient: None) -> None:
    with (
        pytest.raises(AssertionError, match="the last one is Report"),
        ServerProcess(SERVER) as server,
    ):
        server.until(lambda report: report.stalled > 0)


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(AssertionError, match="no such server"):  # noqa: SIM117
        with ServerProcess("raise SystemExit('no such server')"):
            pass


def test_a_server_that_complains_fails_the_test() -> None:
    program = SERVER + "import sys; sys.stderr.write('a complaint')"
    with pytest.raises(AssertionError, match="a complaint"), ServerProcess(program):
        pass


def test_clients_of_a_load_ask_again_and_connect_again() -> None:
    def close_after_ten(connection: Connection, line: bytes, body: bytes) -> State:
        assert line == b"x"
        connection.write(b"X\n")
        return State.CLOSED if connection.requests == 10 else State.IDLE

    with serving(worker(close_after_ten)) as server:
        address = server.listeners[0].address
        assert isinstance(address, TCPAddress)
        with Load(address, b"x\n", clients=3) as load:
            load.go_on(100)
            assert load.answers() >= 100
            statistics = server.statistics()
            assert statistics.requests >= 100
            assert statistics.accepted >= 10
        eventually(lambda: not server.statistics().connections)


def test_no_test_runner_is_imported() -> None:
    program = "import sys, rocket_core.testing; print('pytest' in sys.modules)"
    with Script(program) as script:
        assert script.read_line() == "False\n"


def test_a_port_that_the_system_gives_to_nothing_else() -> None:
    port = unused_port()
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", 0)) as given:
        assert 1024 <= port < given.getsockname()[1]


@pytest.mark.parametrize("family", [socket.AF_INET, pytest.param(socket.AF_INET6, marks=IPV6)])
def test_a_socket_listens_until_it_is_shut_down(family: socket.AddressFamily) -> None:
    with socket.create_server(("", 0), family=family) as first:
        port = first.getsockname()[1]
        inode = os.fstat(first.fileno()).st_ino
        assert inode in listening(port)
        assert inode not in listening(port - 1)
        with first.dup():
            first.shutdown(socket.SHUT_RDWR)
            assert inode not in listening(port)


def test_a_connection_does_not_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0] as connection:
            assert os.fstat(connection.fileno()).st_ino not in listening(port)


def test_a_port_in_use_is_not_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = unused_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        drawn = iter([taken.getsockname()[1], other])
        monkeypatch.setattr("random.randrange", lambda *_: next(drawn))
        assert unused_port() == other

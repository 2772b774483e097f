"""The engine moves the connections of a server with toy protocols from state to state."""

from __future__ import annotations

import errno
import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

import pytest

from coresupport import (
    LineWorker,
    connect,
    expect_closes,
    serving,
    states,
    stuff,
    wait_for,
    worker,
)
from rocket_core import ClientGone, Connection, State, Timeouts, Worker
from rocket_core._engine.engine import FAIR_SHARE
from rocket_core.extending import OUTPUT_BOUND
from rocket_core.testing import PATIENCE, Client, NarrowListener, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGE = b"0123456789abcdef" * (1 << 20)


# -- the way through the states --------------------------------------------------------------------


def test_requests_of_a_connection_are_served_and_counted() -> None:
    with serving(worker()) as server, connect(server) as client:
        for _ in range(3):
            assert client.ask(b"hello\n") == b"HELLO\n"
        eventually(lambda: states(server) == {"idle": 1})
        statistics = server.statistics()
        assert (statistics.accepted, statistics.requests, statistics.closes) == (1, 3, {})
        client.close()
        expect_closes(server, {"client closed": 1})


def test_requests_that_come_together_are_answered_in_order() -> None:
    numbers = range(5 * FAIR_SHARE)
    with serving(worker()) as server, connect(server) as client:
        client.send(b"".join(b"n%d\n" % number for number in numbers))
        for number in numbers:
            assert client.read_line() == b"N%d\n" % number


def test_request_that_comes_as_the_time_runs_out_is_served() -> None:
    with serving(worker(), threads=1) as server, connect(server) as client:
        eventually(lambda: states(server) == {"idle": 1})
        (connection,) = server._registry.snapshot()
        eventually(lambda: server._monitor.claim(connection))  # it is parked a moment later
        client.send(b"late\n")
        server._engine.expire(connection, server._seat)
        assert client.read_line() == b"LATE\n"


def test_head_and_body_may_come_in_pieces() -> None:
    with serving(worker()) as server, connect(server) as client:
        client.send(b"bod")
        eventually(lambda: states(server) == {"head": 1})
        client.send(b"y 6\nab")
        eventually(lambda: states(server) == {"body": 1})
        client.send(b"cdefnext\n")
        assert client.read(13) == b"BODY 6\nABCDEF"
        assert client.read_line() == b"NEXT\n"
        eventually(lambda: states(server) == {"idle": 1})


@pytest.mark.parametrize("answer", [State.CLOSED, None])
def test_response_is_sent_before_the_connection_is_closed(answer: State | None) -> None:
    def bye(connection: Connection, line: bytes, body: bytes) -> State | None:
        del line, body
        connection.write(b"bye\n")
        return answer

    with serving(worker(bye)) as server, connect(server) as client:
        client.send(b"x\n")
        assert client.read_all() == b"bye\n"
        expect_closes(server, {"served": 1})


def test_close_waits_until_the_client_has_taken_all() -> None:
    def bye(connection: Connection, line: bytes, body: bytes) -> State:
        del line, body
        connection.write(LARGE[: 4 * OUTPUT_BOUND])
        return State.CLOSED

    with serving(worker(bye)) as server, connect(server, receive_buffer=64 * 1024) as client:
        client.send(b"x\n")
        assert client.read_all() == LARGE[: 4 * OUTPUT_BOUND]
        expect_closes(server, {"served": 1})


def linger(connection: Connection, line: bytes, body: bytes) -> State:
    del body
    connection.write(line + b"\n")
    return State.LINGER


def test_lingering_connection_discards_received_bytes() -> None:
    with serving(worker(linger)) as server, connect(server) as client:
        client.send(b"last\n" + bytes(100_000))
        assert client.read_all() == b"last\n"
        assert states(server) == {"linger": 1}
        client.send(bytes(1_000_000))
        client.close()
        expect_closes(server, {"served": 1})


def test_lingering_connection_is_timed_out() -> None:
    with (
        serving(worker(linger), timeouts=Timeouts(linger=0.05)) as server,
        connect(server) as client,
    ):
        client.send(b"last\n")
        assert client.read_all() == b"last\n"
        expect_closes(server, {"linger timed out": 1})


def test_worker_that_returns_ready_is_called_again_after_other_clients() -> None:
    served: list[bytes] = []
    entered, leave = threading.Event(), threading.Event()

    def several(connection: Connection, line: bytes, body: bytes) -> State:
        del body
        served.append(line)
        if line == b"again":
            entered.set()
            wait_for(leave)
            if len(served) < 5:
                connection.context = (line, 0)
                return State.READY
        connection.write(b"done\n")
        return State.IDLE

    with (
        serving(worker(several), threads=1) as server,
        connect(server) as client,
        connect(server) as other,
    ):
        client.send(b"again\n")
        wait_for(entered)
        other.send(b"other\n")
        eventually(lambda: server.statistics().ready == 1)
        leave.set()
        assert client.read_line() == b"done\n"
        assert other.read_line() == b"done\n"
        assert served == [b"again", b"other", b"again", b"again", b"again"]


@pytest.mark.parametrize("state", [State.ACTIVE, State.HANDSHAKE])
def test_state_that_does_not_follow_is_an_error(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(worker(lambda *_: state)) as server, connect(server) as client:
        client.send(b"x\n")
        assert client.closed_by_server()
        expect_closes(server, {"error": 1})
    assert f"a connection in state 'active' cannot enter '{state.value}'" in caplog.text


def test_close_in_the_middle_of_a_request_is_counted() -> None:
    with serving(worker()) as server, connect(server) as client:
        client.send(b"half")
        client.half_close()
        assert client.read_all() == b""
        expect_closes(server, {"client closed": 1})


def test_reset_is_counted() -> None:
    with serving(worker()) as server, connect(server) as client:
        client.send(b"half")
        eventually(lambda: states(server) == {"head": 1})
        client.reset()
        expect_closes(server, {"connection reset": 1})


@pytest.mark.parametrize("answers", [True, False])
def test_reset_while_a_request_is_served_is_counted_and_not_logged(
    answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold(connection: Connection, line: bytes, body: bytes) -> State:
        del body
        if line == b"hold":
            entered.set()
            wait_for(leave)
        if answers:
            connection.write(b"answer\n")
        return State.IDLE

    with serving(worker(hold)) as server, connect(server) as client:
        client.send(b"hold\npart of the next")
        wait_for(entered)
        client.reset()
        leave.set()
        expect_closes(server, {"connection reset": 1})
    assert not caplog.records


# -- responses that the client does not take at once -----------------------------------------------


def respond(connection: Connection, line: bytes, body: bytes) -> State:
    """Send as many bytes as the line says."""
    del body
    connection.write(LARGE[: int(line)])
    return State.IDLE


@pytest.mark.parametrize("factory", [worker(respond), lambda: Blocking(respond)])
def test_requests_behind_a_slow_response_are_served(factory: Callable[[], Worker]) -> None:
    with serving(factory) as server, connect(server, receive_buffer=64 * 1024) as client:
        client.send(b"8000000\n5\n7\n")
        eventually(lambda: states(server) == {"sending": 1} or server.statistics().stalled)
        expected = LARGE[:8_000_000] + LARGE[:5] + LARGE[:7]
        assert client.read(len(expected)) == expected
        eventually(lambda: states(server) == {"idle": 1})
        client.send(b"3\n")
        assert client.read(3) == LARGE[:3]


class Blocking(Worker):
    """A worker in the blocking style has one method."""

    def __init__(self, handler: Callable[[Connection, bytes, bytes], State | None]) -> None:
        self._handler = handler

    def serve(self, connection: Connection) -> State | None:
        line = connection.readline(1000)
        return self._handler(connection, line.rstrip(b"\n"), b"") if line else None


def test_connection_whose_response_is_not_taken_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    timeouts = Timeouts(stall=0.05)
    with (
        serving(worker(stuff), NarrowListener(), timeouts=timeouts) as server,
        connect(server, receive_buffer=64 * 1024) as client,
    ):
        client.send(b"x\n")
        expect_closes(server, {"response taken too slowly": 1})
        assert server.statistics().connections == {}
        assert client.closed_by_server()
    assert not caplog.records


def test_file_that_cannot_be_sent_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(LARGE)
    broken = threading.Event()
    whole = os.sendfile

    def sendfile(out: int, source: int, offset: int, count: int) -> int:
        if broken.is_set():
            raise OSError(errno.EIO, "the disk is broken")
        return whole(out, source, offset, count)

    monkeypatch.setattr(os, "sendfile", sendfile)

    def send(connection: Connection, line: bytes, body: bytes) -> State:
        del line, body
        with path.open("rb") as file:
            connection.send_file(file.fileno(), 0, len(LARGE))
        return State.IDLE

    with serving(worker(send)) as server, connect(server, receive_buffer=64 * 1024) as client:
        client.send(b"x\n")
        eventually(lambda: states(server) == {"sending": 1})
        broken.set()
        with suppress(ConnectionResetError):  # a system short of memory may reset it
            assert LARGE.startswith(client.read_all())
        expect_closes(server, {"error": 1})
    (record,) = caplog.records
    assert "the disk is broken" in str(record.exc_info)


def test_fast_reader_of_a_large_file_gets_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(LARGE)

    def send(connection: Connection, line: bytes, body: bytes) -> State:
        del line, body
        with path.open("rb") as file:
            for _ in range(3):
                connection.send_file(file.fileno(), 0, len(LARGE))
        return State.LINGER

    with serving(worker(send)) as server, connect(server) as client:
        client.send(b"x\n")
        for _ in range(3):
            assert client.read(len(LARGE)) == LARGE
        assert client.read(1) == b""


# -- failures --------------------------------------------------------------------------------------


class Failing(LineWorker):
    """Raises the exception that the client names."""

    errors: ClassVar[dict[bytes, Callable[[], BaseException]]] = {
        b"error": lambda: ValueError("a mistake"),
        b"system": lambda: OSError(errno.ECONNREFUSED, "the database is away"),
        b"exit": lambda: SystemExit(3),
        b"interrupt": KeyboardInterrupt,
        b"gone": lambda: ClientGone("gone"),
    }

    def __init__(self) -> None:
        super().__init__(self._handle)

    def _handle(self, connection: Connection, line: bytes, body: bytes) -> State:
        del body
        make = self.errors.get(line)
        if make is not None:
            raise make()
        connection.write(b"fine\n")
        return State.IDLE


@pytest.mark.parametrize("how", ["error", "system", "exit", "interrupt"])
def test_failure_is_logged_and_costs_one_connection(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(Failing, threads=1) as server:
        threads = set(threading.enumerate())
        with connect(server) as client, connect(server) as other:
            client.send(how.encode() + b"\n")
            assert client.closed_by_server()
            assert other.ask(b"x\n") == b"fine\n"
            expect_closes(server, {"error": 1})
            name = client.name
        assert threads <= set(threading.enumerate())
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rocket_core.worker", logging.ERROR)
    assert record.getMessage() == f"serving {name} failed"
    assert record.exc_info is not None


def test_traceback_of_one_kind_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    def full(connection: Connection, line: bytes, body: bytes) -> State:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with serving(worker(full)) as server:
        for _ in range(5):
            with connect(server) as client:
                client.send(b"x\n")
                assert client.closed_by_server()
        expect_closes(server, {"error": 5})
    assert [bool(each.exc_info) for each in caplog.records] == [True] + [False] * 4
    assert "OSError: [Errno 28] No space left on device" in caplog.records[4].getMessage()


def test_client_gone_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with serving(Failing) as server, connect(server) as client:
        client.send(b"gone\n")
        assert client.closed_by_server()
        expect_closes(server, {"connection reset": 1})
    assert not caplog.records


class Apologetic(Failing):
    def failed(self, connection: Connection, error: BaseException) -> State:
        connection.write(f"sorry: {error}\n".encode())
        return State.LINGER


def test_failure_may_be_told_to_the_client() -> None:
    with serving(Apologetic) as server, connect(server) as client:
        client.send(b"error\n")
        assert client.read_all() == b"sorry: a mistake\n"


class Hopeless(Failing):
    def failed(self, connection: Connection, error: BaseException) -> State:
        raise type(error)("again")


@pytest.mark.parametrize("how", [b"error", b"system", b"exit"])
def test_failure_in_failed_costs_one_connection(
    how: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        serving(Hopeless, threads=1) as server,
        connect(server) as client,
        connect(server) as other,
    ):
        client.send(how + b"\n")
        assert client.closed_by_server()
        assert other.ask(b"x\n") == b"fine\n"
        expect_closes(server, {"error": 1})
    assert "a thread of the pool ended" not in caplog.text


class Careless(Failing):
    def closed(self, connection: Connection) -> None:
        raise SystemExit(connection.requests)


def test_failure_in_closed_is_logged_and_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with serving(Careless, threads=1) as server:
        with connect(server) as client:
            assert client.ask(b"x\n") == b"fine\n"
        expect_closes(server, {"client closed": 1})
        with connect(server) as client:
            assert client.ask(b"x\n") == b"fine\n"
    assert caplog.text.count("SystemExit: 1") == 2
    assert "a thread of the pool ended" not in caplog.text


class Releasing(LineWorker):
    released: list[object]

    def closed(self, connection: Connection) -> None:
        self.released.append(connection.requests)


def test_closed_is_called_once_for_each_connection() -> None:
    Releasing.released = []
    with serving(Releasing) as server, connect(server) as first, connect(server):
        assert first.ask(b"x\n") == b"X\n"
        eventually(lambda: server.statistics().accepted == 2)
    eventually(lambda: sorted(map(str, Releasing.released)) == ["0", "1"])


class BrokenReceive(LineWorker):
    def receive(self, connection: Connection) -> State:
        state = super().receive(connection)
        if state is State.HEAD:
            raise SystemExit(9)
        return state


def test_failure_in_receive_is_logged_and_costs_one_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(BrokenReceive) as server, connect(server) as client:
        client.send(b"half")
        assert client.closed_by_server()
        expect_closes(server, {"error": 1})
        with connect(server) as other:
            assert other.ask(b"x\n") == b"X\n"
    assert "SystemExit: 9" in caplog.text


# -- time ------------------------------------------------------------------------------------------


class Informing(LineWorker):
    def expired(self, connection: Connection) -> State:
        connection.write(connection.state.value.encode() + b" too slow\n")
        return State.LINGER


@pytest.mark.parametrize(
    ("sent", "timeouts", "state", "reason"),
    [
        (b"", Timeouts(keep_alive=0.05), "idle", "keep-alive timed out"),
        (b"half", Timeouts(head=0.05), "head", "head timed out"),
        (b"body 9\nhalf", Timeouts(grace=0.05), "body", "body too slow"),
        (b"body 9\nhalf", Timeouts(stall=0.05), "body", "body too slow"),
    ],
)
def test_client_whose_time_has_run_out_is_told(
    sent: bytes, timeouts: Timeouts, state: str, reason: str
) -> None:
    with serving(Informing, timeouts=timeouts) as server, connect(server) as client:
        client.send(sent)
        assert client.read_all() == f"{state} too slow\n".encode()
        client.close()
        expect_closes(server, {reason: 1})


def trickle(client: Client, piece: bytes) -> None:
    """Send until the server has closed the connection, a piece at a time."""

    def closed() -> bool:
        try:
            client.send(piece)
        except ConnectionError:
            return True
        return False

    eventually(closed, "for the server to close the connection")


def test_head_in_pieces_does_not_get_more_time() -> None:
    timeouts = Timeouts(head=0.3)
    with serving(worker(), timeouts=timeouts) as server, connect(server) as client:
        trickle(client, b"x")
        expect_closes(server, {"head timed out": 1})


def test_body_below_the_minimum_rate_is_cut() -> None:
    timeouts = Timeouts(grace=0.05, minimum_rate=1e12)
    with serving(worker(), timeouts=timeouts) as server, connect(server) as client:
        client.send(b"body 1000000000\n")
        trickle(client, b"x" * 1000)
        expect_closes(server, {"body too slow": 1})


# -- the default `receive` -------------------------------------------------------------------------


class Pieces(Worker):
    """Uses the default `receive`, and waits for the rest of a request in HEAD or BODY."""

    def serve(self, connection: Connection) -> State:
        line = connection.take_through(b"\n")
        if line is None:
            return State.HEAD
        if line == b"body":
            return State.BODY
        connection.write(line.upper() + b"\n")
        return State.IDLE


def test_serve_is_called_whenever_bytes_have_come() -> None:
    with serving(Pieces) as server, connect(server) as client:
        client.send(b"on")
        eventually(lambda: states(server) == {"head": 1})
        client.send(b"e\ntwo\n")
        assert client.read_line() == b"ONE\n"
        assert client.read_line() == b"TWO\n"


@pytest.mark.parametrize(("sent", "state"), [(b"half", "head"), (b"body\n", "body")])
def test_end_of_the_stream_in_the_middle_of_a_request_closes(sent: bytes, state: str) -> None:
    with serving(Pieces) as server, connect(server) as client:
        client.send(sent)
        eventually(lambda: states(server) == {state: 1})
        served = server.statistics().requests
        client.half_close()
        assert client.read_all() == b""
        expect_closes(server, {"client closed": 1})
        assert server.statistics().requests == served


@pytest.mark.parametrize(("sent", "state"), [(b"half", "head"), (b"body\n", "body")])
def test_look_of_a_drain_leaves_a_request_that_has_begun_alone(
    sent: bytes, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(Pieces) as server, connect(server) as client:
        client.send(sent)
        eventually(lambda: states(server) == {state: 1})
        server.drain(PATIENCE)  # a drain looks at every connection
        eventually(lambda: not server.wait(0) and server._server_state.draining)
        client.send(b"rest\n")
        assert client.read_line().endswith(b"REST\n")
        assert server.wait(PATIENCE)
    assert not caplog.records

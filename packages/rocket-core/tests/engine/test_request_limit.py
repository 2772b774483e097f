"""The server answers requests that take too long while their threads still run."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

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
from rocket_core import ClientGone, Connection, Server, State
from rocket_core._engine.request_limit import RequestLimit
from rocket_core.testing import NarrowListener, at_growing_scales, eventually, within

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Offering(LineWorker):
    """Lets the server answer for it while it does not use the connection."""

    def overdue(self, connection: Connection, context: Any) -> State:
        connection.write(b"late: " + context + b"\n")
        return State.LINGER


def offering(work: Callable[[bytes], None], seen: list[str]) -> Callable[[], Offering]:
    def handle(connection: Connection, line: bytes, body: bytes) -> State:
        lease = connection.lease
        assert lease is not None
        lease.offer(line)
        work(line)
        try:
            lease.claim()
        except ClientGone:
            seen.append("overtaken")
            raise
        seen.append("answered")
        return shout(connection, line, body)

    return lambda: Offering(handle)


def test_overdue_request_is_answered_and_its_worker_is_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    at_growing_scales(partial(answered_by_the_server, caplog))


def answered_by_the_server(caplog: pytest.LogCaptureFixture, scale: float) -> None:
    caplog.clear()
    limit = 0.2 * scale
    leave = threading.Event()
    seen: list[str] = []

    def work(line: bytes) -> None:
        if line == b"hold":
            wait_for(leave)

    with (
        serving(offering(work, seen), threads=1, request_timeout=limit) as server,
        connect(server) as held,
        connect(server) as other,
        releasing(leave),
    ):
        held.send(b"hold\n")
        assert held.read_all() == b"late: hold\n"  # and nothing more afterwards
        assert server.statistics().stalled == 1
        with within(limit):
            assert other.ask(b"x\n") == b"X\n"
        assert seen == ["answered"]
        leave.set()
        eventually(lambda: seen == ["answered", "overtaken"])
        eventually(lambda: server.statistics().stalled == 0)
        with within(limit):
            assert other.ask(b"y\n") == b"Y\n"
        held.close()
        eventually(lambda: server.statistics().closes.get("request timed out") == 1)
        eventually(lambda: len(server._pool._sleepers) == 1)  # one of the two workers is a spare
    assert caplog.text.count(f"exceeded request_timeout ({limit:g} s)") == 1
    assert "in wait_for" in caplog.text
    assert "Traceback" not in caplog.text


def test_connection_of_a_protocol_without_offers_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    at_growing_scales(partial(cut_without_offers, caplog))


def cut_without_offers(caplog: pytest.LogCaptureFixture, scale: float) -> None:
    caplog.clear()
    limit = 0.2 * scale
    gate = Gate()
    with (
        serving(worker(gate), threads=1, request_timeout=limit) as server,
        connect(server) as held,
        connect(server) as other,
        releasing(gate.opened),
    ):
        held.send(b"hold\n")
        gate.wait()
        assert held.closed_by_server()
        with within(limit):
            assert other.ask(b"x\n") == b"X\n"
        gate.opened.set()
        expect_closes(server, {"request timed out": 1})
        eventually(lambda: server.statistics().stalled == 0)
    assert "closed its connection" in caplog.text


def test_quick_requests_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    with (
        serving(offering(lambda _: None, seen), request_timeout=30) as server,
        connect(server) as client,
    ):
        for _ in range(50):
            assert client.ask(b"x\n") == b"X\n"
        client.send(b"x\n" * 100)
        assert client.read(200) == b"X\n" * 100
    assert seen == ["answered"] * 150
    assert not caplog.records


def test_exception_of_an_overtaken_worker_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    leave = threading.Event()

    def work(line: bytes) -> None:
        wait_for(leave)
        raise RuntimeError("too late")

    with (
        serving(offering(work, []), request_timeout=0.1) as server,
        connect(server) as client,
    ):
        client.send(b"x\n")
        assert client.read_all() == b"late: x\n"
        leave.set()
        eventually(lambda: "RuntimeError: too late" in caplog.text)
        client.close()
        eventually(lambda: not states(server))


def test_time_spent_waiting_for_the_client_does_not_count() -> None:
    at_growing_scales(waiting_does_not_count)


def waiting_does_not_count(scale: float) -> None:
    """The worker waits for a line for longer than a request may take."""
    limit = 0.2 * scale
    leave = threading.Event()
    put_off: list[float] = []

    def handle(connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"hold":
            wait_for(leave)
            return State.CLOSED
        assert connection.lease is not None
        began = connection.lease.began
        rest = connection.readline()
        put_off.append(connection.lease.began - began)
        return shout(connection, line + rest, body)

    with (
        serving(worker(handle), request_timeout=limit) as server,
        connect(server) as client,
        releasing(leave),
    ):
        with within(limit / 2):
            client.send(b"one\n")
            eventually(lambda: server.statistics().stalled == 1)
        with connect(server) as other:  # its close shows that the limit was checked meanwhile
            other.send(b"hold\n")
            assert other.closed_by_server()
            leave.set()
        with within(limit / 2):
            client.send(b"two\n")
            assert client.read_line() == b"ONETWO\n"
        assert put_off[0] >= limit  # for which the other request was served meanwhile


def test_request_is_listed_before_the_monitors_thread_is_told(
    pair: tuple[Connection, socket.socket],
) -> None:
    """Otherwise the Monitor's thread could look too early, and sleep for ever."""
    found: list[int] = []
    connection, _ = pair
    limit: RequestLimit[Connection] = RequestLimit(
        lambda: found.append(len(limit.leases())), lambda _: None
    )
    assert limit.leases() == []
    lease = limit.begin(connection)
    assert found == [1]
    assert limit.leases() == [(lease, connection)]
    assert limit.end(lease, connection)
    assert limit.leases() == []


def test_overdue_request_is_noticed_while_another_worker_polls(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rocket_core._pool.thread_pool.usable_cores", lambda: 2)
    gate = Gate()
    with (
        serving(worker(gate), threads=2, request_timeout=0.1, watchdog=0.1) as server,
        connect(server) as held,
    ):
        eventually(lambda: server._pool.polling == 2)
        held.send(b"hold\n")
        assert held.closed_by_server()
        eventually(lambda: "closed its connection" in caplog.text)
        eventually(lambda: "longer than watchdog" in caplog.text)
        gate.opened.set()


def test_monitors_thread_does_not_wait_for_a_client_that_takes_nothing() -> None:
    at_growing_scales(answer_beside_a_client_that_takes_nothing)


def answer_beside_a_client_that_takes_nothing(scale: float) -> None:
    limit = 0.1 * scale
    leave = threading.Event()
    full = threading.Event()

    def handle(connection: Connection, line: bytes, body: bytes) -> State:
        assert connection.lease is not None
        try:
            while line == b"fill" and not connection.unsent:
                connection.write(bytes(1000))
            connection.lease.offer(line)
        finally:
            full.set()
        wait_for(leave)
        return State.CLOSED

    with (
        serving(
            lambda: Offering(handle), NarrowListener(), request_timeout=limit, max_output=0
        ) as server,
        connect(server, receive_buffer=4096) as stuck,
    ):
        try:
            with within(limit):
                stuck.send(b"fill\n")
                wait_for(full)
            eventually(lambda: states(server) == {"sending": 1})
            full.clear()
            with connect(server) as other:
                with within(limit):
                    other.send(b"hold\n")
                    wait_for(full)
                assert other.read_all() == b"late: hold\n"
            assert not stuck.read_all().strip(b"\0")
        finally:
            leave.set()


@pytest.mark.parametrize("max_stalled", [0, 1])
def test_no_more_workers_are_replaced_than_max_stalled(
    max_stalled: int, caplog: pytest.LogCaptureFixture
) -> None:
    at_growing_scales(partial(no_more_are_replaced, max_stalled, caplog))


def no_more_are_replaced(max_stalled: int, caplog: pytest.LogCaptureFixture, scale: float) -> None:
    caplog.clear()
    limit = 0.2 * scale
    leave = threading.Event()

    def work(line: bytes) -> None:
        if line == b"hold":
            wait_for(leave)

    def cut(server: Server) -> None:
        with connect(server) as client:
            client.send(b"hold\n")
            assert client.read_all() == b"late: hold\n"

    with (
        serving(
            offering(work, []), threads=1, request_timeout=limit, max_stalled=max_stalled
        ) as server,
        releasing(leave),
    ):
        for _ in range(max_stalled + 1):
            cut(server)
        assert server.statistics().threads == 1 + max_stalled
        assert server.statistics().stalled == max_stalled
        assert caplog.text.count("was not replaced, because max_stalled threads are") == 1
        leave.set()
        with connect(server) as client, within(limit):
            assert client.ask(b"x\n") == b"X\n"


def test_stack_of_one_place_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    leave = threading.Event()

    def work(line: bytes) -> None:
        wait_for(leave)

    with serving(offering(work, []), threads=1, request_timeout=0.2) as server:
        for _ in range(3):
            with connect(server) as held:
                held.send(b"hold\n")
                assert held.read_all() == b"late: hold\n"
        eventually(lambda: caplog.text.count("exceeded request_timeout") == 3)
        leave.set()
    messages = [each for each in caplog.messages if "exceeded request_timeout" in each]
    assert ["\n" in each for each in messages] == [True, False, False]
    assert "in wait" in messages[2]
    assert "the stack was logged before" in messages[2]

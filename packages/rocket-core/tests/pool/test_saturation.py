"""While all workers are busy, the server queues, refuses, and serves urgent requests."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from coresupport import (
    Gate,
    LineWorker,
    compose_with,
    connect,
    expect_closes,
    releasing,
    rocket_threads,
    serving,
    states,
    wait_for,
)
from rocket_core import Connection, Listener, Server, State
from rocket_core._pool import stand_in, urgent_lanes
from rocket_core._pool.pool_thread import PoolThread
from rocket_core.testing import PATIENCE, Client, at_growing_scales, descriptors, eventually, within

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Refusing(LineWorker):
    """Answers ``busy`` when overloaded; a line that begins with ``!`` is urgent."""

    def overloaded(self, connection: Connection) -> State:
        connection.write(b"busy\n")
        return State.LINGER

    def urgent(self, connection: Connection) -> bool:
        line, _ = connection.context
        return bool(line.startswith(b"!"))


def refusing(gate: Gate) -> Callable[[], Refusing]:
    return lambda: Refusing(gate)


def test_requests_beyond_max_queue_are_refused() -> None:
    gate = Gate()
    with serving(refusing(gate), threads=2, max_queue=3) as server, ExitStack() as clients:
        busy, queued, refused = (
            [clients.enter_context(connect(server)) for _ in range(count)] for count in (2, 3, 4)
        )
        for client in busy:
            client.send(b"hold\n")
        gate.wait(2)
        for number, client in enumerate(queued, 1):
            client.send(b"queued\n")
            eventually(lambda: states(server).get("ready") == number)  # noqa: B023
        for client in refused:
            assert client.ask(b"one more\n") == b"busy\n"
            assert client.closed_by_server()
        eventually(lambda: server.statistics().ready == 3)  # one may just be looked at
        gate.opened.set()
        assert [client.read_line() for client in queued] == [b"QUEUED\n"] * 3
        assert [client.read_line() for client in busy] == [b"HOLD\n"] * 2
        expect_closes(server, {"overloaded": 4})


def test_request_that_has_waited_for_queue_timeout_is_refused() -> None:
    at_growing_scales(refused_after_queue_timeout)


def refused_after_queue_timeout(scale: float) -> None:
    limit = 0.2 * scale
    gate = Gate()
    with (
        serving(refusing(gate), threads=1, queue_timeout=limit) as server,
        connect(server) as busy,
        connect(server) as late,
        releasing(gate.opened),
    ):
        with within(limit):
            assert busy.ask(b"x\n") == b"X\n"
            busy.send(b"hold\n")
            eventually(lambda: gate.inside or server.statistics().closes)
            assert gate.inside
        assert late.ask(b"x\n") == b"busy\n"
        with within(limit):
            gate.opened.set()
            assert busy.read_line() == b"HOLD\n"
            assert busy.ask(b"x\n") == b"X\n"


def test_urgent_requests_are_served_while_all_workers_are_busy() -> None:
    gate = Gate()
    with serving(refusing(gate), threads=2) as server, ExitStack() as clients:
        busy = [clients.enter_context(connect(server)) for _ in range(2)]
        for client in busy:
            client.send(b"hold\n")
        gate.wait(2)
        queued, check = (
            clients.enter_context(connect(server)),
            clients.enter_context(connect(server)),
        )
        queued.send(b"queued\n")
        eventually(lambda: states(server).get("ready") == 1)
        for _ in range(20):
            assert check.ask(b"!health\n") == b"!HEALTH\n"
        check.send(b"!one\n!two\n!three\n")
        assert [check.read_line() for _ in range(3)] == [b"!ONE\n", b"!TWO\n", b"!THREE\n"]
        eventually(lambda: server.statistics().ready == 1)  # it may just be looked at
        gate.opened.set()
        assert queued.read_line() == b"QUEUED\n"
    assert not rocket_threads()


def test_requests_behind_an_urgent_request_do_not_take_its_lane() -> None:
    gate = Gate()
    with serving(refusing(gate), threads=1) as server, ExitStack() as clients:
        busy, cunning, check = (clients.enter_context(connect(server)) for _ in range(3))
        busy.send(b"hold\n")
        gate.wait()
        cunning.send(b"!first\nhold\n!last\n")
        assert cunning.read_line() == b"!FIRST\n"
        for _ in range(5):
            assert check.ask(b"!health\n") == b"!HEALTH\n"
        gate.opened.set()
        assert [cunning.read_line() for _ in range(2)] == [b"HOLD\n", b"!LAST\n"]
        assert busy.read_line() == b"HOLD\n"


def hold_lanes(server: Server, clients: ExitStack, gate: Gate, count: int) -> list[Client]:
    """Return clients whose requests hold the only worker and ``count`` urgent lanes."""
    clients_held = []
    for line in [b"hold\n", *[b"!hold\n"] * count]:
        client = clients.enter_context(connect(server))
        client.send(line)
        gate.wait()
        clients_held.append(client)
    return clients_held


def busy_threads(server: Server) -> set[str]:
    return {each.thread for each in server.activities() if each.peer is not None}


def hold_any(gate: Gate) -> Callable[[Connection, bytes, bytes], State]:
    return lambda connection, line, body: gate(connection, line.removeprefix(b"!"), body)


def test_no_request_waits_behind_a_long_urgent_request() -> None:
    gate = Gate()
    factory = lambda: Refusing(hold_any(gate))  # noqa: E731
    with serving(factory, threads=1) as server, ExitStack() as clients:
        held = hold_lanes(server, clients, gate, urgent_lanes.LANES - 1)
        check = clients.enter_context(connect(server))
        assert check.ask(b"!health\n") == b"HEALTH\n"
        names = {f"rocket-urgent-{number}" for number in range(1, urgent_lanes.LANES)}
        eventually(lambda: busy_threads(server) == {*names, "rocket-worker-1"})
        gate.opened.set()
        assert [client.read_line() for client in held] == [b"HOLD\n"] * len(held)
    assert not rocket_threads()


def test_urgent_requests_wait_with_the_rest_while_all_lanes_are_held() -> None:
    gate = Gate()
    factory = lambda: Refusing(hold_any(gate))  # noqa: E731
    with (
        serving(factory, threads=1, queue_timeout=0.3) as server,
        ExitStack() as clients,
    ):
        held = hold_lanes(server, clients, gate, urgent_lanes.LANES)
        late = clients.enter_context(connect(server))
        assert late.ask(b"!late\n") == b"busy\n"
        gate.opened.set()
        assert [client.read_line() for client in held] == [b"HOLD\n"] * len(held)
        check = clients.enter_context(connect(server))
        assert check.ask(b"!health\n") == b"HEALTH\n"


def test_request_that_waits_for_a_held_lane_is_served_by_a_returning_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(urgent_lanes, "LANES", 1)
    monkeypatch.setattr(urgent_lanes, "PATIENCE", 0.5)
    gate, other = Gate(), Gate()

    def handler(connection: Connection, line: bytes, body: bytes) -> State:
        return (other if line == b"!hold" else gate)(connection, line.removeprefix(b"!"), body)

    with serving(lambda: Refusing(handler), threads=1) as server, ExitStack() as clients:
        busy, lane, waiting = (clients.enter_context(connect(server)) for _ in range(3))
        busy.send(b"hold\n")
        gate.wait()
        lane.send(b"!hold\n")
        other.wait()
        waiting.send(b"!x\n")
        eventually(lambda: len(server._urgent_lanes._waiting) == 1)
        gate.opened.set()
        assert busy.read_line() == b"HOLD\n"
        assert waiting.read_line() == b"X\n"  # while the lane is still held
        other.opened.set()
        assert lane.read_line() == b"HOLD\n"


def test_lanes_without_work_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urgent_lanes, "RETIREMENT", 0.01)
    gate = Gate()
    factory = lambda: Refusing(hold_any(gate))  # noqa: E731
    with serving(factory, threads=1) as server, ExitStack() as clients:
        held = hold_lanes(server, clients, gate, 4)
        assert len(server._urgent_lanes.seats()) == 4
        gate.opened.set()
        assert [client.read_line() for client in held] == [b"HOLD\n"] * len(held)
        eventually(lambda: len(server._urgent_lanes.seats()) <= 1)


def test_failure_in_urgent_costs_its_own_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Refusing):
        def urgent(self, connection: Connection) -> bool:
            if connection.context[0] == b"bad":
                raise KeyError("no such header")
            return super().urgent(connection)

    gate = Gate()
    with serving(lambda: Failing(gate), threads=1) as server, ExitStack() as clients:
        busy, bad, good, urgent = (clients.enter_context(connect(server)) for _ in range(4))
        busy.send(b"hold\n")
        gate.wait()
        for client, line in ((bad, b"bad\n"), (good, b"good\n")):
            client.send(line)
        assert bad.closed_by_server()
        assert urgent.ask(b"!x\n") == b"!X\n"
        gate.opened.set()
        assert good.read_line() == b"GOOD\n"
    assert "no such header" in caplog.text


def test_opening_a_urgent_lane_is_tried_again_after_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    made = 0

    def factory() -> Refusing:
        nonlocal made
        made += 1
        if made == 3:  # after the workers of the Monitor's thread and of the pool
            raise ConnectionError("the database is away")
        return Refusing(gate)

    with serving(factory, threads=1) as server, ExitStack() as clients:
        busy, check, second = (clients.enter_context(connect(server)) for _ in range(3))
        busy.send(b"hold\n")
        gate.wait()
        check.send(b"!x\n")
        eventually(lambda: "cannot start a thread for urgent requests" in caplog.text)
        assert second.ask(b"!y\n") == b"!Y\n"
        gate.opened.set()
        assert check.read_line() == b"!X\n"


def test_drain_does_not_refuse_requests_that_were_just_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A drain claims requests that no poll has reported yet; they have not waited at all."""
    gate = Gate()
    polled = threading.Event()

    def find_nothing(timeout: float) -> list[Connection]:
        polled.set()
        threading.Event().wait(timeout)
        return []

    with (
        serving(refusing(gate), threads=1, queue_timeout=PATIENCE) as server,
        ExitStack() as clients,
    ):
        busy, *crowd = (clients.enter_context(connect(server)) for _ in range(20))
        for client in crowd:
            assert client.ask(b"before\n") == b"BEFORE\n"
        eventually(lambda: states(server) == {"idle": 20})
        busy.send(b"hold\n")
        gate.wait()
        polls = SimpleNamespace(poll=find_nothing)
        monkeypatch.setattr(server._monitor_thread._stand_in, "_monitor", polls)
        wait_for(polled)
        for connection in server._registry.snapshot():
            connection.claimed_at -= 2 * PATIENCE  # as if it had been idle for so long
        for client in crowd:
            client.send(b"x\n")
        server.drain(PATIENCE)
        eventually(lambda: states(server).get("ready") == 19 or server.statistics().closes)
        monkeypatch.undo()
        gate.opened.set()
        assert [client.read_line() for client in crowd] == [b"X\n"] * len(crowd)


def test_urgent_requests_behind_a_held_request_of_one_batch_are_served() -> None:
    """A batch is claimed at once; its first request must not delay urgent requests behind it."""
    gate = Gate()
    with serving(refusing(gate), threads=1) as server, ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(20)]
        for _ in range(10):
            for client in crowd:
                client.send(b"hold\n" if client is crowd[0] else b"!quick\n")
            for client in crowd[1:]:
                assert client.read_line() == b"!QUICK\n"
            gate.opened.set()
            assert crowd[0].read_line() == b"HOLD\n"
            gate.opened.clear()


def test_stop_of_a_saturated_server_leaves_nothing_behind() -> None:
    before = descriptors()
    gate = Gate()
    server = Server(refusing(gate), [Listener("127.0.0.1:0")], min_threads=1, max_threads=1)
    with ExitStack() as clients, server:
        busy = clients.enter_context(connect(server))
        busy.send(b"hold\n")
        gate.wait()
        for line in (b"x\n", b"!x\n", b"half"):
            clients.enter_context(connect(server)).send(line)
        eventually(lambda: states(server).get("ready") == 1)
        gate.opened.set()
    assert not rocket_threads()
    assert server.statistics().connections == {}
    assert descriptors() == before


@pytest.fixture
def _asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check every client whose request has waited at all."""
    compose_with(monkeypatch, PoolThread, long_wait=0.0)
    monkeypatch.setattr(stand_in, "LONG_WAIT", 0.0)
    monkeypatch.setattr(urgent_lanes, "LONG_WAIT", 0.0)


@pytest.mark.usefixtures("_asking")
def test_requests_of_clients_that_have_reset_are_not_served() -> None:
    gate = Gate()
    with serving(refusing(gate), threads=1) as server, ExitStack() as clients:
        busy, neighbour = (clients.enter_context(connect(server)) for _ in range(2))
        busy.send(b"hold\n")
        gate.wait()
        for number in range(20):
            leaving = connect(server)
            leaving.send(b"hold\n")
            eventually(lambda: states(server).get("ready") == number + 1)  # noqa: B023
            leaving.reset()
        neighbour.send(b"x\n")
        eventually(lambda: states(server).get("ready") == 21)
        gate.opened.set()
        assert neighbour.read_line() == b"X\n"
        assert busy.read_line() == b"HOLD\n"
        statistics = server.statistics()
        assert statistics.closes == {"client left the queue": 20}
        assert statistics.requests == 2


@pytest.mark.usefixtures("_asking")
def test_half_closed_client_is_served() -> None:
    gate = Gate()
    with (
        serving(refusing(gate), threads=1) as server,
        connect(server) as busy,
        connect(server) as waiting,
    ):
        busy.send(b"hold\n")
        gate.wait()
        waiting.send(b"x\n")
        waiting.half_close()
        eventually(lambda: states(server).get("ready") == 1)
        gate.opened.set()
        assert waiting.read_all() == b"X\n"
        assert busy.read_line() == b"HOLD\n"


@pytest.mark.usefixtures("_asking")
def test_closed_client_of_a_unix_socket_is_not_served(tmp_path: Path) -> None:
    gate = Gate()
    with (
        serving(refusing(gate), Listener(f"unix:{tmp_path}/socket"), threads=1) as server,
        connect(server) as busy,
    ):
        busy.send(b"hold\n")
        gate.wait()
        with connect(server) as leaving:
            leaving.send(b"hold\n")
            eventually(lambda: states(server).get("ready") == 1)
        gate.opened.set()
        assert busy.read_line() == b"HOLD\n"
        expect_closes(server, {"client left the queue": 1})


@pytest.mark.usefixtures("_asking")
def test_urgent_requests_of_clients_that_have_left_are_not_served() -> None:
    gate = Gate()

    def handle(connection: Connection, line: bytes, body: bytes) -> State:
        return gate(connection, line.removeprefix(b"!"), body)

    with (
        serving(lambda: Refusing(handle), threads=1) as server,
        ExitStack() as clients,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(urgent_lanes, "LANES", 1)
        patched.setattr(urgent_lanes, "PATIENCE", PATIENCE)
        busy, lane = (clients.enter_context(connect(server)) for _ in range(2))
        busy.send(b"hold\n")
        gate.wait()
        lane.send(b"!hold\n")
        eventually(lambda: states(server) == {"active": 2})
        leaving = connect(server)
        leaving.send(b"!x\n")
        eventually(lambda: len(server._urgent_lanes._waiting) == 1)
        leaving.reset()
        gate.opened.set()
        expect_closes(server, {"client left the queue": 1})
        assert server.statistics().requests == 2


@pytest.mark.usefixtures("_asking")
def test_clients_that_have_left_a_full_queue_keep_no_client_out() -> None:
    gate = Gate()
    with serving(refusing(gate), threads=1, max_queue=3) as server, ExitStack() as clients:
        busy, late = (clients.enter_context(connect(server)) for _ in range(2))
        busy.send(b"hold\n")
        gate.wait()
        leaving = [connect(server) for _ in range(3)]
        for each in leaving:
            each.send(b"hold\n")
        eventually(lambda: states(server).get("ready") == 3)
        for each in leaving:
            each.reset()
        expect_closes(server, {"client left the queue": 3})
        late.send(b"x\n")
        eventually(lambda: states(server).get("ready") == 1)
        gate.opened.set()
        assert late.read_line() == b"X\n"
        assert busy.read_line() == b"HOLD\n"

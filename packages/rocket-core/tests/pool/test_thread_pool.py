from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from coresupport import (
    Gate,
    LineWorker,
    compose_with,
    connect,
    expect_closes,
    serving,
    shout,
    states,
    wait_for,
    worker,
)
from rocket_core import Connection, State, Timeouts, Worker
from rocket_core._connection.server_state import ServerState
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._engine.counters import Tally
from rocket_core._engine.engine import FAIR_SHARE, Engine
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.registry import Registry
from rocket_core._engine.seat import Seat, Seats
from rocket_core._pool import absences
from rocket_core._pool import thread_pool as module
from rocket_core._pool.demand import Verdict
from rocket_core._pool.pool_thread import PoolThread
from rocket_core._pool.stand_in import StandIn
from rocket_core._pool.thread_pool import MAX_QUEUE, QUEUE_TIMEOUT, ThreadPool
from rocket_core._pool.urgent_lanes import UrgentLanes
from rocket_core._server.mailbox import Mailbox
from rocket_core._server.monitor_thread import MonitorThread
from rocket_core._system.poller import default_poller
from rocket_core.extending import READ, SharedRequest
from rocket_core.testing import PATIENCE, NarrowListener, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_core._system.poller import Poller

    Sockets = Callable[[], tuple[socket.socket, socket.socket]]


def test_pool_grows_to_its_maximum_while_the_application_blocks() -> None:
    gate = Gate()
    with serving(worker(gate), min_threads=1, max_threads=5) as server, ExitStack() as clients:
        # The pool may have grown already: on a busy machine its first thread waits before it polls.
        crowd = [clients.enter_context(connect(server)) for _ in range(12)]
        for client in crowd:
            client.send(b"hold\n")
        eventually(lambda: gate.inside == 5)
        # The other requests are in the queue, or will be once a thread polls.
        eventually(lambda: server.statistics().ready == 7, "for seven requests to be queued")
        assert server.statistics().threads == 5
        gate.opened.set()
        for client in crowd:
            assert client.read_line() == b"HOLD\n"
        assert gate.most == 5


def test_all_threads_of_an_idle_pool_serve_at_once() -> None:
    gate = Gate()
    with serving(worker(gate), threads=8) as server, ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(8)]
        eventually(lambda: server.statistics().accepted == 8)
        for _ in range(5):
            gate.opened.clear()
            for client in crowd:
                client.send(b"hold\n")
            eventually(lambda: gate.inside == 8)
            gate.opened.set()
            for client in crowd:
                assert client.read_line() == b"HOLD\n"


def test_idle_pool_shrinks_to_its_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    compose_with(monkeypatch, PoolThread, idle_retirement=0.05)
    gate = Gate()
    with serving(worker(gate), min_threads=2, max_threads=6) as server, ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(6)]
        for client in crowd:
            client.send(b"hold\n")
        eventually(lambda: gate.inside == 6)
        assert server.statistics().threads == 6
        gate.opened.set()
        for client in crowd:
            assert client.read_line() == b"HOLD\n"
        eventually(lambda: server.statistics().threads == 2)
        assert not server._pool.has_surplus  # so that the threads left sleep without a limit
        for client in crowd:
            assert client.ask(b"still there\n") == b"STILL THERE\n"


def test_resize_starts_threads_for_queued_requests() -> None:
    gate = Gate()
    with serving(worker(gate), threads=1) as server, ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(4)]
        for client in crowd:
            client.send(b"hold\n")
        eventually(lambda: gate.inside == 1 and server.statistics().ready == 3)
        server.resize(1, 3)
        eventually(lambda: gate.inside == 3)
        server.resize(4, 4)
        eventually(lambda: gate.inside == 4)
        assert server.threads == (4, 4)
        gate.opened.set()
        for client in crowd:
            assert client.read_line() == b"HOLD\n"


@pytest.mark.parametrize("before", [2, 8])
def test_resize_ends_threads_that_sleep_or_poll(before: int) -> None:
    with serving(worker(), threads=before) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        server.resize(1, 1)
        eventually(lambda: server.statistics().threads == 1)
        assert client.ask(b"y\n") == b"Y\n"
        server.resize(3, 3)
        assert server.statistics().threads == 3


def test_resize_interrupts_no_request() -> None:
    gate = Gate()
    with serving(worker(gate), threads=3) as server, ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(3)]
        for client in crowd:
            client.send(b"hold\n")
        eventually(lambda: gate.inside == 3)
        server.resize(1, 1)
        gate.opened.set()
        for client in crowd:
            assert client.read_line() == b"HOLD\n"
        eventually(lambda: server.statistics().threads == 1)


class Fixture:
    """The parts of a server without its listeners."""

    def __init__(
        self, factory: Callable[[], Worker], threads: int, poller: Poller | None = None
    ) -> None:
        self.monitor = Monitor(poller)
        self.mailbox = Mailbox(self.monitor)
        self.tally = Tally()
        self.registry = Registry(100)
        self.seats = Seats(factory, self.tally)
        self.pool = ThreadPool(
            self.monitor,
            self.hire,
            min_threads=threads,
            max_threads=threads,
            alert=self.mailbox.alert,
        )
        state = ServerState(pool=self.pool)
        self.engine = Engine(self.monitor, self.registry, Timeouts(), state)
        lanes = UrgentLanes(self.engine, self.seats, self.pool.submit)
        seat = Seat(factory(), self.tally.open())
        stand_in = StandIn(
            self.monitor,
            self.pool,
            self.engine,
            lanes,
            seat,
            max_queue=MAX_QUEUE,
            queue_timeout=QUEUE_TIMEOUT,
        )
        self.monitor_thread = MonitorThread(self.mailbox, self.pool, lanes, stand_in, seat)

    def hire(self, name: str) -> PoolThread:
        return PoolThread(self.pool, self.engine, self.seats, name)

    def start(self) -> None:
        self.pool.start()
        self.monitor_thread.start()

    def stop(self) -> None:
        def close() -> None:
            self.pool.stop()
            assert self.pool.join(PATIENCE) == []
            for connection in self.registry.snapshot():
                connection.close()
            self.monitor.close()
            self.monitor_thread.finish()

        self.mailbox.post(close)
        self.monitor_thread.join()


class BatchPoller:
    """Reports all descriptors to the thread that polls first, and none to the others."""

    lasting = False

    def __init__(self) -> None:
        self._others = default_poller()
        self._lock = threading.Lock()
        self._armed: list[int] = []
        self._polls = 0
        self.delivered = threading.Event()

    def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
        del interest, first
        self._armed.append(descriptor)

    def watch(self, descriptor: int, *, exclusive: bool) -> None:
        pass

    def unwatch(self, descriptor: int) -> None:
        pass

    def poll(self, timeout: float | None, limit: int) -> list[tuple[int, int]]:
        with self._lock:
            self._polls += 1
            first = self._polls == 1
        if not first:
            return self._others.poll(timeout, limit)
        wait_for(self.delivered)
        return [(descriptor, READ) for descriptor in self._armed]

    def wake(self) -> None:
        self._others.wake()

    def close(self) -> None:
        self._others.close()


def test_neighbours_of_a_blocked_request_in_a_batch_are_served(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    gate = Gate()
    poller = BatchPoller()
    parts = Fixture(worker(gate), threads=4, poller=poller)
    parts.start()
    eventually(lambda: parts.pool.polling == 2)
    clients = []
    counters = parts.tally.open()
    for _ in range(3):
        server, client = sockets()
        client.sendall(b"hold\n")
        clients.append(client)
        connection = Connection(server)
        parts.engine.begin(connection, counters)
        parts.pool.welcome(connection)
    poller.delivered.set()
    eventually(lambda: gate.inside == 3)
    gate.opened.set()
    for client in clients:
        assert client.recv(100) == b"HOLD\n"
    parts.stop()


def test_only_connection_in_the_queue_is_served(sockets: Sockets) -> None:
    parts = Fixture(worker(), threads=1)
    server, client = sockets()
    connection = Connection(server)
    connection.server = ServerState()
    parts.registry.add(connection)
    client.sendall(b"x\n")
    parts.start()
    eventually(lambda: parts.pool.polling == 1)
    parts.pool.submit(connection)
    assert client.recv(100) == b"X\n"
    parts.stop()


def test_no_further_worker_is_called_before_a_called_worker_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine a worker may wait for a processor for longer than until the next look.

    1. All workers are away or asleep, and the pool calls one. 2. The worker does not run yet.
    3. The next look finds the same as the first, and must not call another.
    """
    parts = Fixture(worker(), threads=1)
    pool = parts.pool
    pool.resize(1, 5)
    late: list[threading.Thread] = []

    def start_late(thread: threading.Thread) -> None:
        late.append(thread)

    monkeypatch.setattr(threading.Thread, "start", start_late)
    monkeypatch.setattr(pool._staffing._demand, "look", called_if_missed)
    eventually(lambda: not pool._called and pool.polling == 1)
    with pool._lock:
        pool.polling = 0  # as if the worker were away
    assert pool.guard(on=True)
    for _ in range(10):
        pool.tend()
    assert len(late) == 1
    monkeypatch.undo()
    late[0].start()
    eventually(lambda: not pool._called)
    with pool._lock:
        pool.polling += 1
    parts.monitor_thread.start()
    parts.stop()


def called_if_missed(*, waits: bool, stuck: bool, spare: bool) -> Verdict:
    """Judge as for workers that compute nothing."""
    del spare
    return Verdict.CALL if waits or stuck else Verdict.NOTHING


def test_thread_that_leaves_has_a_sleeper_poll(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 1)
    parts = Fixture(worker(), threads=1)
    parts.start()
    pool = parts.pool
    eventually(lambda: pool.polling == 1)
    server, client = sockets()
    other = Connection(sockets()[0])
    with pool.stalled(other):  # a worker waits for its client, and another takes its place
        with pool._lock:
            assert pool._grow()
        eventually(lambda: len(pool._sleepers) == 1)
    pool.resize(1, 1)
    eventually(lambda: pool.threads == 1)
    connection = Connection(server)
    parts.engine.begin(connection, parts.tally.open())
    parts.pool.welcome(connection)
    client.sendall(b"x\n")
    assert client.recv(100) == b"X\n"
    parts.stop()


def test_dismissed_worker_takes_no_deadline_to_sleep_with_it(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    parts = Fixture(worker(), threads=2)
    pool = parts.pool
    pool.start()
    eventually(lambda: pool.polling == 2)
    connection = Connection(sockets()[0])
    parts.engine.begin(connection, parts.tally.open())
    pool.guard(on=True)  # only a pool that is tended dismisses workers
    pool.dismissing = True  # for the worker that takes the wake-up
    connection.deadline = time.monotonic() + 0.1
    parts.monitor.park(connection)
    eventually(lambda: connection.state is State.CLOSED)
    assert len(pool._sleepers) == 1
    parts.monitor_thread.start()
    parts.stop()


class Alerts:
    """Counts the alerts of a pool whose Monitor's thread does not run."""

    def __init__(self, pool: ThreadPool) -> None:
        self.count = 0
        pool._alert = self

    def __call__(self) -> None:
        self.count += 1


def queue_request(parts: Fixture, sockets: Sockets, request: bytes) -> socket.socket:
    """Queue a connection with a request, and return the client's socket."""
    server, client = sockets()
    client.sendall(request)
    connection = Connection(server)
    parts.engine.begin(connection, parts.tally.open())
    parts.pool.submit(connection)
    return client


def end_without_monitor_thread(parts: Fixture, gate: Gate) -> None:
    gate.opened.set()
    parts.monitor_thread.start()
    parts.stop()


def test_last_poller_that_leaves_with_a_queued_request_alerts(sockets: Sockets) -> None:
    gate = Gate()
    parts = Fixture(worker(gate), threads=1)
    alerts = Alerts(parts.pool)
    parts.pool.start()
    eventually(lambda: parts.pool.polling == 1)
    queue_request(parts, sockets, b"hold\n")
    eventually(lambda: gate.inside == 1)
    assert alerts.count >= 1
    end_without_monitor_thread(parts, gate)


def test_poller_that_finds_a_request_queued_after_its_poll_alerts(sockets: Sockets) -> None:
    gate = Gate()
    between, go_on = threading.Event(), threading.Event()

    class Expiring(LineWorker):
        def expired(self, connection: Connection) -> State:
            between.set()
            wait_for(go_on)
            return super().expired(connection)

    parts = Fixture(lambda: Expiring(gate), threads=1)
    alerts = Alerts(parts.pool)
    parts.pool.start()
    eventually(lambda: parts.pool.polling == 1)
    slow = Connection(sockets()[0])
    parts.engine.begin(slow, parts.tally.open())
    slow.deadline = time.monotonic() - 1
    parts.monitor.park(slow)
    wait_for(between)
    assert (parts.pool.polling, alerts.count) == (0, 0)
    queue_request(parts, sockets, b"hold\n")
    go_on.set()
    eventually(lambda: gate.inside == 1)
    assert alerts.count == 1
    end_without_monitor_thread(parts, gate)


def test_two_wake_ups_taken_as_one_leave_no_request_behind(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    gate = Gate()
    poller = default_poller()
    parts = Fixture(worker(gate), threads=2, poller=poller)
    pool, poll, wake = parts.pool, poller.poll, poller.wake
    taken, go_on = threading.Event(), threading.Event()

    def poll_and_wait(timeout: float | None, limit: int) -> list[tuple[int, int]]:
        found = poll(timeout, limit)
        if not taken.is_set():
            taken.set()
            wait_for(go_on)
        return found

    # A second wake-up that comes before the first one is cleared is cleared with it.
    monkeypatch.setattr(poller, "wake", lambda: None if taken.is_set() else wake())
    monkeypatch.setattr(poller, "poll", poll_and_wait)
    alerts = Alerts(pool)
    pool.start()
    eventually(lambda: pool.polling == 2)
    queue_request(parts, sockets, b"hold\n")
    wait_for(taken)
    queue_request(parts, sockets, b"hold\n")
    go_on.set()
    eventually(lambda: gate.inside == 1)
    assert pool.waiting == 1
    assert alerts.count == 1
    monkeypatch.undo()
    end_without_monitor_thread(parts, gate)


LARGE = bytes(2 << 20)


def heavy(connection: Connection, line: bytes, body: bytes) -> State:
    """Answer ``large`` with more than the server keeps for a client."""
    if line == b"large":
        connection.write(LARGE)
    return shout(connection, line, body)


def test_worker_that_waits_for_its_client_is_replaced() -> None:
    with serving(worker(heavy), NarrowListener(), threads=1) as server, ExitStack() as clients:
        slow = [clients.enter_context(connect(server, receive_buffer=64 * 1024)) for _ in range(5)]
        fast = clients.enter_context(connect(server))
        for number, client in enumerate(slow, 1):
            client.send(b"large\n")
            eventually(lambda number=number: server.statistics().stalled == number)  # type: ignore[misc]
            assert fast.ask(b"quick\n") == b"QUICK\n"
        # There are fewer threads when a waiting worker has gone on for a moment.
        assert server.statistics().threads <= 6
        for client in slow:
            assert client.read(len(LARGE)) == LARGE
            assert client.read_line() == b"LARGE\n"
        eventually(lambda: server.statistics().stalled == 0)
        pool = server._pool
        # Surplus threads sleep when they have nothing to do.
        eventually(lambda: fast.ask(b"quick\n") and len(pool._sleepers) == pool.threads - 1)


class Marking(LineWorker):
    """Records the threads that serve, and the threads that have ended."""

    def __init__(self) -> None:
        super().__init__(self._mark)
        self.served: list[int] = []
        self.ended: list[int] = []

    def _mark(self, connection: Connection, line: bytes, body: bytes) -> State:
        self.served.append(threading.get_ident())
        return heavy(connection, line, body)

    def retired(self) -> None:
        self.ended.append(threading.get_ident())
        raise RuntimeError("the database is away")


def test_replacement_threads_are_used_again() -> None:
    """A thread may hold a connection to a database, so there are no more threads than needed."""
    marking = Marking()
    with (
        serving(lambda: marking, NarrowListener(), threads=1) as server,
        connect(server, receive_buffer=64 * 1024) as slow,
        connect(server) as fast,
    ):
        for _ in range(20):
            slow.send(b"large\n")
            eventually(lambda: server.statistics().stalled == 1)
            assert fast.ask(b"quick\n") == b"QUICK\n"
            assert slow.read(len(LARGE)) == LARGE
            assert slow.read_line() == b"LARGE\n"
            eventually(lambda: server.statistics().stalled == 0)
        assert len(set(marking.served)) == server.statistics().threads == 2
        assert marking.ended == []


def test_spare_that_fell_asleep_last_is_woken_first() -> None:
    parts = Fixture(worker(), threads=2)
    pool = parts.pool
    first, second = parts.hire("first"), parts.hire("second")
    pool._members = {first, second}
    pool._sleepers = [first, second]
    with pool._lock:
        assert pool._wake_sleeper()
    assert pool._sleepers == [first]
    assert second._sleep_lock.acquire(blocking=False)
    parts.monitor.close()


def test_idle_spares_end_and_call_retired(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compose_with(monkeypatch, PoolThread, idle_retirement=0.05)
    marking = Marking()
    with (
        serving(lambda: marking, NarrowListener(), threads=1) as server,
        ExitStack() as clients,
    ):
        slow = [clients.enter_context(connect(server, receive_buffer=64 * 1024)) for _ in range(4)]
        for number, client in enumerate(slow, 1):
            client.send(b"large\n")
            eventually(lambda number=number: server.statistics().stalled == number)  # type: ignore[misc]
        for client in slow:
            assert client.read(len(LARGE)) == LARGE
            assert client.read_line() == b"LARGE\n"
        eventually(lambda: server.statistics().threads == 1)
        eventually(lambda: len(marking.ended) >= 3)
        assert threading.get_ident() not in marking.ended
        assert slow[0].ask(b"x\n") == b"X\n"
    eventually(lambda: set(marking.served) <= set(marking.ended))
    assert "the worker's retired() failed" in caplog.text


def test_monitors_thread_polls_when_a_spare_sleeps_and_all_others_are_away() -> None:
    gate = Gate()

    def large_then_hold(connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"hold":
            connection.write(LARGE)
        return gate(connection, line, body)

    with (
        serving(worker(large_then_hold), NarrowListener(), threads=1) as server,
        connect(server, receive_buffer=64 * 1024) as slow,
        connect(server) as other,
    ):
        slow.send(b"hold\n")
        eventually(lambda: server.statistics().stalled == 1 and server._pool.polling == 1)
        eventually(lambda: not server._pool.guarded)
        assert slow.read(len(LARGE) // 2) == LARGE[: len(LARGE) // 2]
        reader = threading.Thread(target=slow.read_line)
        reader.start()
        eventually(lambda: gate.inside == 1)
        server._monitor.wake()
        eventually(lambda: len(server._pool._sleepers) == 1)
        other.send(b"half")
        eventually(lambda: states(server).get("head") == 1)
        gate.opened.set()
        reader.join(PATIENCE)
        assert other.ask(b"\n") == b"HALF\n"


def test_worker_that_waits_to_read_is_replaced() -> None:
    class Reading(Worker):
        def serve(self, connection: Connection) -> State | None:
            line = connection.readline(100)
            connection.write(line.upper())
            return State.IDLE if line else None

    with serving(Reading, threads=1) as server, connect(server) as slow, connect(server) as fast:
        slow.send(b"half of ")
        eventually(lambda: server.statistics().stalled == 1)
        for _ in range(20):
            assert fast.ask(b"quick\n") == b"QUICK\n"
        assert slow.ask(b"a line\n") == b"HALF OF A LINE\n"


def test_slow_clients_are_cut_when_no_more_workers_are_replaced() -> None:
    timeouts = Timeouts(stall=0.5)
    with (
        serving(
            worker(heavy), NarrowListener(), threads=1, max_stalled=1, timeouts=timeouts
        ) as server,
        ExitStack() as clients,
    ):
        slow = [clients.enter_context(connect(server, receive_buffer=64 * 1024)) for _ in range(2)]
        for client in slow:
            client.send(b"large\n")
        fast = clients.enter_context(connect(server))
        assert fast.ask(b"quick\n") == b"QUICK\n"
        assert server.statistics().threads <= 2
        expect_closes(server, {"response taken too slowly": 2})


def test_slowest_client_is_cut_when_all_workers_wait_for_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        absences, "STALL_GRACE", PATIENCE * 10
    )  # no client is cut for the second one
    with (
        serving(worker(heavy), NarrowListener(), threads=2, max_stalled=0) as server,
        ExitStack() as clients,
    ):
        quicker, slower = (
            clients.enter_context(connect(server, receive_buffer=64 * 1024)) for _ in range(2)
        )
        for client in (quicker, slower):
            client.send(b"large\n")
        eventually(lambda: server.statistics().stalled == 2)
        assert quicker.read(len(LARGE) // 2) == LARGE[: len(LARGE) // 2]

        def moved() -> list[int]:
            return sorted(
                0 if each._transfer is None else each._transfer.moved
                for each in server._registry.snapshot()
            )

        eventually(lambda: moved()[1] - moved()[0] > len(LARGE) // 4)
        eventually(lambda: server.statistics().stalled == 2)
        cut_slowest = absences.Absences._cut_slowest

        def cut_once(*arguments: Any) -> None:
            # The worker that comes back may take a while to the request that still waits.
            monkeypatch.setattr(absences, "STALL_GRACE", PATIENCE * 10)
            cut_slowest(*arguments)

        monkeypatch.setattr(absences.Absences, "_cut_slowest", cut_once)
        monkeypatch.setattr(absences, "STALL_GRACE", 0.0)
        fast = clients.enter_context(connect(server))
        assert fast.ask(b"quick\n") == b"QUICK\n"
        assert quicker.read(len(LARGE) // 2 + 6) == LARGE[len(LARGE) // 2 :] + b"LARGE\n"
        expect_closes(server, {"response taken too slowly": 1})


def test_endless_pipeliner_leaves_others_their_turn() -> None:
    with (
        serving(worker(), threads=1) as server,
        connect(server) as endless,
        connect(server) as fast,
    ):
        stop = threading.Event()

        def send() -> None:
            requests = b"again\n" * 1000
            with suppress(OSError):  # the socket is shut down at the end
                while not stop.is_set():
                    endless.send(requests)

        def receive() -> None:
            with suppress(OSError):
                while endless.socket.recv(65536):
                    pass

        threads = [threading.Thread(target=send), threading.Thread(target=receive)]
        for thread in threads:
            thread.start()
        eventually(lambda: server.statistics().requests > 1000)
        for _ in range(5):
            assert fast.ask(b"quick\n") == b"QUICK\n"
        stop.set()
        # On a busy machine the answers that are still due would take longer than the test may wait.
        endless.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_making_a_worker_is_tried_again_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def factory() -> Worker:
        calls.append(threading.current_thread().name)
        if len(calls) in (2, 3):
            raise ConnectionError("the database is away")
        return LineWorker()

    with serving(factory, threads=2) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        eventually(lambda: len(calls) == 5)
        assert server.statistics().threads == 2
    assert caplog.text.count("cannot make another worker") == 2
    assert calls[0] == threading.current_thread().name


def test_pool_serves_with_the_threads_that_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("rocket-worker-") and thread.name != "rocket-worker-1":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with serving(worker(), threads=4) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"
        assert server.statistics().threads == 1
    assert "cannot start another worker: can't start new thread" in caplog.text


@pytest.mark.parametrize("pollers", [1, 2, 4])
@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_pollers_serves_every_client(
    monkeypatch: pytest.MonkeyPatch, pollers: int, threads: int
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: pollers)
    with serving(worker(), threads=threads) as server, ExitStack() as clients:
        crowd = [clients.enter_context(connect(server)) for _ in range(20)]
        for number in range(20):
            for client in crowd:
                client.send(b"n%d\n" % number)
            for client in crowd:
                assert client.read_line() == b"N%d\n" % number
        assert server.statistics().requests == 400


def test_no_request_is_one_too_many_while_a_worker_polls(sockets: Sockets) -> None:
    """1. The Monitor's thread polls. 2. A worker polls, too. 3. The thread is told first."""
    parts = Fixture(worker(), threads=1)
    seat = Seat(worker()(), parts.tally.open())
    lanes = UrgentLanes(parts.engine, parts.seats, parts.pool.submit)
    stand_in = StandIn(
        parts.monitor,
        parts.pool,
        parts.engine,
        lanes,
        seat,
        max_queue=0,
        queue_timeout=QUEUE_TIMEOUT,
    )
    clients = []
    for polling in (1, 0):
        server, client = sockets()
        client.sendall(b"x\n")
        connection = Connection(server)
        parts.engine.begin(connection, parts.tally.open())
        connection.claimed_at = time.monotonic()
        parts.pool.polling = polling
        stand_in._take_in([connection])
        clients.append(client)
    assert [each.connection.state for each in parts.pool.ready] == [State.READY]
    assert clients[1].recv(100) == b""
    parts.monitor_thread.start()
    parts.pool.start()
    assert clients[0].recv(100) == b"X\n"
    parts.stop()


def test_no_request_is_one_too_many_because_of_itself(sockets: Sockets) -> None:
    """1. It is queued again. 2. Workers take all before it. 3. The same look meets it once more."""

    class Asking(LineWorker):
        def urgent(self, connection: Connection) -> bool:
            taken.extend(parts.pool.ready.popleft() for _ in range(len(parts.pool.ready)))
            return False

    taken: list[object] = []
    parts = Fixture(Asking, threads=1)
    seat = Seat(Asking(), parts.tally.open())
    stand_in = StandIn(
        parts.monitor,
        parts.pool,
        parts.engine,
        UrgentLanes(parts.engine, parts.seats, parts.pool.submit),
        seat,
        max_queue=1,
        queue_timeout=QUEUE_TIMEOUT,
    )
    waiting = [ready_connection(parts, sockets, b"x\n") for _ in range(3)]
    parts.pool.ready.extend(waiting)
    stand_in._sweep()
    assert taken == waiting[1:]
    assert list(parts.pool.ready) == waiting[:1]
    assert stand_in.refused == 0
    parts.start()
    parts.stop()


class Turn(TurnTaker):
    """A turn that notes that it was had."""

    def __init__(self) -> None:
        super().__init__()
        self.had = threading.Event()

    def take_turn(self) -> bool:
        self.had.set()
        return False

    def flush(self) -> None:
        pass

    @property
    def leaves(self) -> bool:
        return False


def test_turn_that_is_out_of_the_queue_for_a_moment_is_not_forgotten() -> None:
    """In a server that stops: 1. A turn has woken a worker. 2. It is out of the queue. 3. The
    worker finds nothing, and polls. The Monitor's thread does not look, since it stops the server.
    """
    parts = Fixture(worker(), threads=1)
    parts.pool.start()
    eventually(lambda: parts.pool.polling == 1)
    turn = Turn()
    parts.pool.turns.add(turn)
    parts.pool.ready.append(turn)
    assert parts.pool.abandoned() == []
    wait_for(turn.had)
    parts.monitor_thread.start()
    parts.stop()


# -- what a thread is said to do, once it has given a connection away: see `Seat` ------------------


def ready_connection(parts: Fixture, sockets: Sockets, requests: bytes) -> Connection:
    """Return a connection that the caller owns, and whose client has sent ``requests``."""
    server, client = sockets()
    client.sendall(requests)
    connection = Connection(server)
    parts.engine.begin(connection, parts.tally.open())
    connection.claimed_at = time.monotonic()
    return connection


def test_thread_is_not_busy_with_what_it_has_queued_behind_others(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def look(mailbox: Mailbox) -> None:
        del mailbox
        if connection in parts.pool.ready:  # just now, or by this test
            seen.append([seat.busy for seat in parts.pool.seats()])

    monkeypatch.setattr(Mailbox, "alert", look)
    parts = Fixture(worker(), threads=1)
    connection = ready_connection(parts, sockets, b"x\n" * 2 * FAIR_SHARE)
    parts.start()
    eventually(lambda: parts.pool.polling == 1)
    parts.pool.submit(connection)
    eventually(lambda: connection.requests == 2 * FAIR_SHARE)
    parts.stop()
    assert seen
    assert set(map(str, seen)) == {"[None]"}


def test_urgent_lane_is_not_busy_with_what_it_has_passed_on(sockets: Sockets) -> None:
    class OnceUrgent(LineWorker):
        def urgent(self, connection: Connection) -> bool:
            return not connection.requests

    def pass_on(exchange: Connection | SharedRequest) -> None:
        passed.append((exchange, [each.busy for each in lanes.seats()]))

    passed: list[tuple[object, list[object]]] = []
    parts = Fixture(OnceUrgent, threads=1)
    lanes = UrgentLanes(parts.engine, parts.seats, pass_on)
    connection = ready_connection(parts, sockets, b"x\n" * 2)
    assert parts.engine.advance(connection, parts.seats.make())
    assert lanes.submit(connection)
    eventually(lambda: passed == [(connection, [None])])
    lanes.stop()
    assert lanes.join(PATIENCE) == []
    parts.start()
    parts.stop()


def test_monitors_thread_is_not_busy_with_what_it_has_queued(sockets: Sockets) -> None:
    parts = Fixture(worker(), threads=1)
    seat = Seat(worker()(), parts.tally.open())
    lanes = UrgentLanes(parts.engine, parts.seats, parts.pool.submit)
    stand_in = StandIn(
        parts.monitor,
        parts.pool,
        parts.engine,
        lanes,
        seat,
        max_queue=MAX_QUEUE,
        queue_timeout=QUEUE_TIMEOUT,
    )
    connection = ready_connection(parts, sockets, b"x\n")
    stand_in._take_in([connection])
    assert connection in parts.pool.ready
    assert seat.busy is None
    parts.start()
    parts.stop()

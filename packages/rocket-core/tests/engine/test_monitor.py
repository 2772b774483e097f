from __future__ import annotations

import os
import queue
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from coresupport import skip_if_compiled, wait_for
from rocket_core import Connection, State
from rocket_core._engine.deadlines import TICK, Deadlines
from rocket_core._engine.monitor import Monitor
from rocket_core._system.poller import EpollPoller, SelectorPoller, default_poller
from rocket_core.extending import READ, WRITE
from rocket_core.testing import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Events = queue.SimpleQueue[list[tuple[int, int]]]
    Sockets = Callable[[], tuple[socket.socket, socket.socket]]


@pytest.fixture(params=[default_poller, SelectorPoller], ids=["default", "selector"])
def monitor(request: pytest.FixtureRequest) -> Iterator[Monitor]:
    made = Monitor(request.param())
    yield made
    made.close()


def claim_ready(monitor: Monitor) -> list[Connection]:
    """Poll until connections are ready, and return them; a single poll may return none."""
    for _ in range(20):
        if found := monitor.poll(PATIENCE):
            return found
    pytest.fail("nothing became ready")


def quiet(monitor: Monitor) -> bool:
    return not any(monitor.poll(0) for _ in range(3))


def test_parked_connection_is_claimed_when_its_client_sends(
    monitor: Monitor, sockets: Sockets
) -> None:
    server, client = sockets()
    connection = Connection(server)
    monitor.park(connection)
    assert len(monitor) == 1
    assert quiet(monitor)
    client.sendall(b"x")
    assert claim_ready(monitor) == [connection]
    assert len(monitor) == 0
    client.sendall(b"y")
    assert quiet(monitor)
    assert not monitor.claim(connection)
    monitor.park(connection)
    assert claim_ready(monitor) == [connection]


class CountedPoller(EpollPoller):
    """Counts how often a descriptor is armed."""

    def __init__(self) -> None:
        super().__init__()
        self.armed = 0

    def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
        self.armed += 1
        super().arm(descriptor, interest, first=first)


@pytest.fixture
def counted() -> Iterator[CountedPoller]:
    made = CountedPoller()
    yield made
    made.close()


def test_busy_connection_is_armed_only_once(counted: CountedPoller, sockets: Sockets) -> None:
    monitor = Monitor(counted)
    server, client = sockets()
    connection = Connection(server)
    for _ in range(3):
        monitor.park(connection)
        client.sendall(b"request")
        assert claim_ready(monitor) == [connection]
        assert connection.fill() == 7
    assert counted.armed == 1


def test_bytes_left_by_a_partial_receive_are_reported_again(
    monitor: Monitor, sockets: Sockets
) -> None:
    server, client = sockets()
    connection = Connection(server)
    monitor.park(connection)
    client.sendall(b"request")
    assert claim_ready(monitor) == [connection]
    assert connection.fill(4) == 4
    monitor.park(connection)
    assert claim_ready(monitor) == [connection]
    assert connection.fill(100) == 3
    monitor.park(connection)
    assert quiet(monitor)


def test_event_of_a_connection_that_is_not_parked_is_not_lost(
    monitor: Monitor, sockets: Sockets
) -> None:
    server, client = sockets()
    connection = Connection(server)
    monitor.park(connection)
    client.sendall(b"first")
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 5
    client.sendall(b"second")
    assert quiet(monitor)  # another thread gets the event, while this one still owns the connection
    monitor.park(connection)
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 6


class Interleaved(dict[int, Connection]):
    """Calls what another thread does meanwhile before or after a connection is claimed, or not."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []

    def pop(self, descriptor: int, default: Any = None, /) -> Any:
        if self.before:
            self.before.pop()()
        found = super().pop(descriptor, default)
        if self.after:
            self.after.pop()()
        return found


def test_connection_parked_while_its_event_is_missed_is_claimed(sockets: Sockets) -> None:
    server, client = sockets()
    connection = Connection(server)
    poller = default_poller()
    monitor = Monitor(poller)
    monitor.park(connection)
    client.sendall(b"first")
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 5

    if not poller.lasting:
        pytest.skip("this poller does not report connections that are not parked")
    monitor._parked = parked = Interleaved()
    parked.after.append(lambda: monitor.park(connection))  # before it is noted as missed
    client.sendall(b"second")
    assert claim_ready(monitor) == [connection]
    monitor.close()


def test_end_of_the_stream_behind_a_request_is_reported(monitor: Monitor, sockets: Sockets) -> None:
    server, client = sockets()
    connection = Connection(server)
    monitor.park(connection)
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 7
    monitor.park(connection)
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 0


def test_bytes_that_were_reported_and_not_received_are_reported_again(
    monitor: Monitor, sockets: Sockets
) -> None:
    server, client = sockets()
    connection = Connection(server)
    monitor.park(connection)
    client.sendall(b"first")
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 5
    monitor.park(connection)
    client.sendall(b"second")
    for _ in range(3):  # the worker does not receive anything yet
        assert claim_ready(monitor) == [connection]
        monitor.park(connection)
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 6


class ArmedByItsOwner(EpollPoller):
    """Lets another thread act just before a descriptor is armed again."""

    def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
        if not first:
            self.come_between()
        super().arm(descriptor, interest, first=first)

    def come_between(self) -> None:
        """Do what the other thread does; the test replaces this."""


def test_descriptor_is_not_armed_for_the_connection_that_had_it_before(
    sockets: Sockets,
) -> None:
    """Another thread closes the connection just parked, and a new one gets its descriptor."""
    poller = ArmedByItsOwner()
    monitor = Monitor(poller)
    server, client = sockets()
    other, _ = sockets()
    old = Connection(server)
    descriptor = old.descriptor
    made: list[Connection] = []

    def come_between() -> None:
        if monitor.claim(old):
            poller.come_between = lambda: None  # type: ignore[method-assign]
            monitor.forget(old)
            old.close()
            number = os.dup2(other.fileno(), descriptor)
            new = Connection(socket.socket(fileno=number))
            new.state = State.SENDING
            monitor.park(new)
            made.append(new)

    monitor.park(old)
    client.sendall(b"x")
    assert claim_ready(monitor) == [old]
    poller.come_between = come_between  # type: ignore[method-assign]
    monitor.park(old)
    come_between()
    assert claim_ready(monitor) == made
    made[0].close()
    monitor.close()


def test_connection_that_does_not_tell_what_it_drained_is_armed_again(
    counted: CountedPoller, sockets: Sockets
) -> None:
    class Buffering(Connection):
        def receive_now(self, size: int) -> bytes:
            return self._socket.recv(min(size, 2))

    monitor = Monitor(counted)
    server, client = sockets()
    connection = Buffering(server)
    monitor.park(connection)
    client.sendall(b"abcd")
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 2
    monitor.park(connection)
    assert claim_ready(monitor) == [connection]


def test_state_decides_what_the_monitor_waits_for(monitor: Monitor, sockets: Sockets) -> None:
    connection = Connection(sockets()[0])
    monitor.park(connection)
    assert quiet(monitor)
    assert monitor.claim(connection)
    connection.state = State.SENDING
    monitor.park(connection)
    assert claim_ready(monitor) == [connection]
    connection.state = State.LINGER
    monitor.park(connection)
    assert quiet(monitor)


def test_wants_of_a_connection_come_before_its_state(monitor: Monitor, sockets: Sockets) -> None:
    connection = Connection(sockets()[0])
    connection.wants = WRITE
    monitor.park(connection)
    assert connection.wants == 0
    assert claim_ready(monitor) == [connection]
    connection.state = State.SENDING
    connection.wants = READ
    monitor.park(connection)
    assert quiet(monitor)


def test_claim_all_claims_every_connection(monitor: Monitor, sockets: Sockets) -> None:
    connections = [Connection(sockets()[0]) for _ in range(5)]
    for connection in connections:
        monitor.park(connection)
    assert set(monitor.claim_all()) == set(connections)
    assert monitor.claim_all() == []
    assert len(monitor) == 0


def test_deadline_ends_a_poll(monitor: Monitor, sockets: Sockets) -> None:
    connection = Connection(sockets()[0])
    connection.deadline = time.monotonic() + 0.01
    monitor.park(connection)
    found: list[Connection] = []
    while not found:
        assert monitor.poll(None) == []
        found = monitor.expired()
    assert found == [connection]
    assert connection.deadline <= time.monotonic()
    assert monitor.expired() == []
    assert len(monitor) == 0


def test_earlier_deadline_reaches_a_poll_under_way(monitor: Monitor, sockets: Sockets) -> None:
    late, early = Connection(sockets()[0]), Connection(sockets()[0])
    late.deadline = time.monotonic() + 1e6
    monitor.park(late)
    found: list[Connection] = []

    def run() -> None:
        while not found:
            monitor.poll(None)
            found.extend(monitor.expired())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    early.deadline = time.monotonic() + 0.01
    monitor.park(early)
    thread.join(PATIENCE)
    assert found == [early]


class Scripted:
    """A poller whose polls return the events, and in the order, that the test gives."""

    lasting = True

    def __init__(self) -> None:
        self.entered: queue.SimpleQueue[tuple[float | None, Events]] = queue.SimpleQueue()
        self.wakes = 0

    def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
        pass

    def watch(self, descriptor: int, *, exclusive: bool) -> None:
        pass

    def unwatch(self, descriptor: int) -> None:
        pass

    def poll(self, timeout: float | None, limit: int) -> list[tuple[int, int]]:
        events: Events = queue.SimpleQueue()
        self.entered.put((timeout, events))
        return events.get(timeout=PATIENCE)

    def wake(self) -> None:
        self.wakes += 1

    def close(self) -> None:
        pass


def test_polling_thread_knows_the_deadline_when_another_leaves_with_work(
    sockets: Sockets,
) -> None:
    """A new first deadline wakes one thread only, which may be away when the deadline falls due."""
    poller = Scripted()
    monitor = Monitor(poller)
    connection, other = Connection(sockets()[0]), Connection(sockets()[0])
    with ThreadPoolExecutor() as threads:
        sleeping = threads.submit(monitor.poll, None)
        timeout, asleep = poller.entered.get(timeout=PATIENCE)
        assert timeout is None
        connection.deadline = time.monotonic() + 1000
        monitor.park(connection)
        monitor.park(other)
        assert poller.wakes == 1
        told = threads.submit(monitor.poll, None)
        timeout, events = poller.entered.get(timeout=PATIENCE)
        assert timeout is not None
        events.put([(other.descriptor, READ)])
        assert told.result(PATIENCE) == [other]
        # The thread that still sleeps does so without a limit.
        assert poller.wakes == 2
        asleep.put([])
        assert sleeping.result(PATIENCE) == []
        # No thread is woken for a deadline that a polling thread knows.
        both = [threads.submit(monitor.poll, None) for _ in range(2)]
        (_, first), (_, second) = (poller.entered.get(timeout=PATIENCE) for _ in range(2))
        first.put([(other.descriptor, READ)])
        eventually(lambda: any(each.done() for each in both))
        assert poller.wakes == 2
        second.put([])


class Overtaken(Deadlines):
    """Reports an earlier deadline just after a polling thread has looked for the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = [inf]

    def __getattribute__(self, name: str) -> Any:
        if name == "next":
            return self.first.pop() if self.first else time.monotonic() // 1000 * 1000 + 1000
        return super().__getattribute__(name)


def test_deadline_set_just_before_a_poll_is_not_overlooked() -> None:
    skip_if_compiled("no other thread runs between the two looks at the first deadline")
    poller = Scripted()
    monitor = Monitor(poller)
    monitor._deadlines = Overtaken()
    with ThreadPoolExecutor() as threads:
        polling = threads.submit(monitor.poll, None)
        timeout, events = poller.entered.get(timeout=PATIENCE)
        assert timeout is not None
        events.put([])
        assert polling.result(PATIENCE) == []
    assert monitor._returns == []


class Held(Deadlines):
    """Holds a call of `watch` until the test lets it go on, when the test has asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = False
        self.inside = threading.Event()
        self.leave = threading.Event()

    def watch(self, connection: Connection, until: float) -> bool:
        if self.holds:
            self.holds = False
            self.inside.set()
            wait_for(self.leave)
        return super().watch(connection, until)


@pytest.fixture
def deadlines(monitor: Monitor) -> Held:
    monitor._deadlines = held = Held()
    return held


@contextmanager
def held_in_expired(monitor: Monitor, deadlines: Held) -> Iterator[None]:
    """Hold another thread in `Monitor.expired`, just before it has a connection watched again."""
    deadlines.holds = True
    with ThreadPoolExecutor() as threads:
        looking = threads.submit(monitor.expired)
        wait_for(deadlines.inside)
        assert deadlines.next == inf
        try:
            yield
        finally:
            deadlines.leave.set()
        assert looking.result(PATIENCE) == []


@pytest.mark.parametrize("owned", [False, True], ids=["parked", "owned"])
def test_deadline_watched_again_reaches_the_poll_begun_meanwhile(
    monitor: Monitor, deadlines: Held, sockets: Sockets, *, owned: bool
) -> None:
    connection = Connection(sockets()[0])
    connection.deadline = time.monotonic() - 1
    monitor.park(connection)
    assert quiet(monitor)
    # A request moves the deadline, which tells no thread; it is not to be due on a busy machine.
    connection.deadline = time.monotonic() + 10 * PATIENCE
    if owned:
        assert monitor.claim(connection)
        connection.deadline = time.monotonic() - 1
    with ThreadPoolExecutor() as threads:
        with held_in_expired(monitor, deadlines):
            polling = threads.submit(monitor.poll, None)
            eventually(lambda: monitor._returns == [inf])
        try:
            assert polling.result(PATIENCE) == []
        finally:
            monitor.wake()
    assert deadlines.next < inf


def test_second_look_does_not_put_off_a_deadline_set_meanwhile(
    monitor: Monitor, deadlines: Held, sockets: Sockets
) -> None:
    connection = Connection(sockets()[0])
    connection.deadline = time.monotonic() - 1
    monitor.park(connection)
    assert monitor.claim(connection)
    with held_in_expired(monitor, deadlines):
        connection.deadline = deadline = time.monotonic() + 0.5
        monitor.park(connection)
    assert connection.watched_at <= deadline
    assert deadlines.next <= deadline + TICK


def wake_one_of_two(
    threads: ThreadPoolExecutor, poller: Scripted, monitor: Monitor, connection: Connection
) -> tuple[Future[list[Connection]], Events]:
    """Have two threads poll without limit, one of which takes the wake-up for a deadline."""
    both = [threads.submit(monitor.poll, None) for _ in range(2)]
    (_, first), (_, second) = (poller.entered.get(timeout=PATIENCE) for _ in range(2))
    eventually(lambda: monitor._returns == [inf, inf])
    connection.deadline = time.monotonic() + 1000
    monitor.park(connection)
    assert poller.wakes == 1
    first.put([])
    eventually(lambda: any(each.done() for each in both))
    (left,) = (each for each in both if not each.done())
    return left, second


def test_polling_thread_knows_the_deadline_when_another_takes_the_wake_up_only(
    sockets: Sockets,
) -> None:
    """The thread that was woken may sleep, end, or serve what is in the queue."""
    poller = Scripted()
    monitor = Monitor(poller)
    with ThreadPoolExecutor() as threads:
        left, events = wake_one_of_two(threads, poller, monitor, Connection(sockets()[0]))
        assert poller.wakes == 2
        events.put([])
        assert left.result(PATIENCE) == []


def test_thread_that_polls_with_a_limit_hands_a_wake_up_on(sockets: Sockets) -> None:
    poller = Scripted()
    monitor = Monitor(poller)
    connection = Connection(sockets()[0])
    with ThreadPoolExecutor() as threads:
        asleep = threads.submit(monitor.poll, None)
        _, sleeper = poller.entered.get(timeout=PATIENCE)
        shortly = threads.submit(monitor.poll, 1.0)
        _, events = poller.entered.get(timeout=PATIENCE)
        connection.deadline = time.monotonic() + 1000
        monitor.park(connection)
        assert poller.wakes == 1
        events.put([])  # this thread has taken the wake-up
        assert shortly.result(PATIENCE) == []
        assert poller.wakes == 2
        sleeper.put([])
        assert asleep.result(PATIENCE) == []


def test_connection_whose_deadline_moved_later_stays_parked(
    monitor: Monitor, sockets: Sockets
) -> None:
    connection = Connection(sockets()[0])
    connection.deadline = time.monotonic() - 1
    monitor.park(connection)
    connection.deadline = time.monotonic() + 1e6
    assert monitor.expired() == []
    assert len(monitor) == 1
    connection.deadline = time.monotonic() - 1
    assert monitor.claim(connection)
    monitor.park(connection)
    eventually(lambda: monitor.expired() == [connection])


def test_time_without_limit_follows_a_limited_one(monitor: Monitor, sockets: Sockets) -> None:
    """1. A client has so long for a head. 2. It is served. 3. Its first time would be over."""
    connection = Connection(sockets()[0])
    connection.deadline = time.monotonic() - 1
    monitor.park(connection)
    assert monitor.claim(connection)
    connection.deadline = inf
    monitor.park(connection)
    assert monitor.expired() == []
    assert connection.watched_at == inf
    assert len(monitor) == 1


def test_connection_that_a_worker_owns_does_not_expire(monitor: Monitor, sockets: Sockets) -> None:
    connection = Connection(sockets()[0])
    connection.deadline = time.monotonic() - 1
    monitor.park(connection)
    assert monitor.claim(connection)
    assert monitor.expired() == []
    # It stays watched, because its worker may park it with a deadline no later than before.
    assert connection.watched_at < inf


class Noted(Deadlines):
    """Notes what is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: list[float] = []

    def watch(self, connection: Connection, until: float) -> bool:
        self.watched.append(until)
        return super().watch(connection, until)


def test_parking_again_within_a_tick_leaves_the_watch_alone(sockets: Sockets) -> None:
    """Otherwise each request of a client that has just connected would take a lock."""
    monitor = Monitor()
    monitor._deadlines = noted = Noted()
    connection = Connection(sockets()[0])
    begin = (time.monotonic() // TICK + 100.1) * TICK
    for deadline in (begin, begin + 0.01, begin + TICK / 2, begin + 10, begin - TICK):
        connection.deadline = deadline
        monitor.park(connection)
        assert monitor.claim(connection)
    assert noted.watched == [begin, begin - TICK]
    monitor.close()


def test_deadline_is_read_again_once_the_connection_is_claimed(
    monitor: Monitor, sockets: Sockets
) -> None:
    """A worker parks it with a new deadline just after another thread has read the old one."""
    server, client = sockets()
    connection = Connection(server)
    connection.deadline = time.monotonic() - 1
    monitor._parked = parked = Interleaved()
    monitor.park(connection)

    def serve() -> None:
        assert monitor.claim(connection)
        connection.deadline += 1e6
        monitor.park(connection)

    parked.before.append(serve)
    assert monitor.expired() == []
    assert not parked.before
    assert len(monitor) == 1
    client.sendall(b"x")
    assert claim_ready(monitor) == [connection]


def test_deadlines_may_be_far_away(monitor: Monitor, sockets: Sockets) -> None:
    server, client = sockets()
    connection = Connection(server)
    connection.deadline = time.monotonic() + 1e9
    monitor.park(connection)
    client.sendall(b"x")
    found: list[Connection] = []
    while not found:
        found = monitor.poll(None)
    assert found == [connection]


def test_forgotten_connection_does_not_expire(monitor: Monitor, sockets: Sockets) -> None:
    first, second = Connection(sockets()[0]), Connection(sockets()[0])
    for connection in (first, second):
        connection.deadline = time.monotonic() - 1
        monitor.park(connection)
    assert monitor.claim(first)
    monitor.forget(first)
    assert monitor.expired() == [second]


def test_closed_connection_does_not_expire(monitor: Monitor, sockets: Sockets) -> None:
    connection = Connection(sockets()[0])
    connection.deadline = time.monotonic() - 1
    monitor.park(connection)
    connection.state = State.CLOSED
    assert monitor.expired() == []


def test_new_connection_on_a_reused_descriptor_replaces_the_old_one(
    monitor: Monitor, sockets: Sockets
) -> None:
    server, client = sockets()
    old, new = Connection(server), Connection(server)
    monitor.park(old)
    assert monitor.claim(old)
    monitor.park(new)
    assert not monitor.claim(old)
    assert len(monitor) == 1
    client.sendall(b"x")
    assert claim_ready(monitor) == [new]


def test_wake_ends_a_poll(monitor: Monitor) -> None:
    monitor.wake()
    assert monitor.poll(None) == []


def test_parking_a_closed_connection_harms_no_other(monitor: Monitor, sockets: Sockets) -> None:
    server, client = sockets()
    connection = Connection(server)
    server.close()
    monitor.park(connection)
    monitor.claim(connection)
    other_server, other_client = sockets()
    other = Connection(other_server)
    monitor.park(other)
    other_client.sendall(b"x")
    client.close()
    assert claim_ready(monitor) == [other]


class Ledger:
    """Counts the owners of each connection, and notes connections with two owners at once."""

    def __init__(self, connections: list[Connection], rounds: int) -> None:
        self._lock = threading.Lock()
        self._owned: set[Connection] = set()
        self._rounds = rounds
        self.counts = dict.fromkeys(connections, 0)
        self.shared: list[Connection] = []
        self.done = threading.Event()

    def take(self, connection: Connection) -> bool:
        """Own a connection for a moment; return whether it is to be parked again."""
        with self._lock:
            if connection in self._owned:
                self.shared.append(connection)
            self._owned.add(connection)
            self.counts[connection] += 1
            if min(self.counts.values()) == self._rounds:
                self.done.set()
        with self._lock:
            self._owned.discard(connection)
        return self.counts[connection] < self._rounds


def test_every_connection_is_claimed_by_exactly_one_thread(
    monitor: Monitor, sockets: Sockets
) -> None:
    pairs = [sockets() for _ in range(30)]
    for _, client in pairs:
        client.sendall(b"x")
    ledger = Ledger([Connection(server) for server, _ in pairs], rounds=20)

    def run() -> None:
        while not ledger.done.is_set():
            for connection in (*monitor.poll(0.05), *monitor.claim_all()):
                if ledger.take(connection):
                    monitor.park(connection)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for connection in ledger.counts:
        monitor.park(connection)
    assert ledger.done.wait(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert not ledger.shared
    assert set(ledger.counts.values()) == {20}


# -- the ends of connections that are served -----------------------------------------------------


def poll_until_told(monitor: Monitor, told: list[str]) -> None:
    for _ in range(20):
        assert not monitor.poll(PATIENCE)
        if told:
            return
    pytest.fail("the end was not told")


@pytest.mark.parametrize("parked", [False, True], ids=["never parked", "parked before"])
def test_end_of_a_connection_that_is_served_is_told(sockets: Sockets, *, parked: bool) -> None:
    monitor = Monitor(default_poller())
    server, client = sockets()
    connection = Connection(server)
    if parked:
        monitor.park(connection)
        client.sendall(b"x")
        assert claim_ready(monitor) == [connection]
        assert connection.fill() == 1
    told: list[str] = []
    if not monitor.watch_end(connection, lambda: told.append("told")):
        pytest.skip("the poller of this system does not tell")
    assert quiet(monitor)
    client.sendall(b"another request")
    assert not monitor.poll(PATIENCE)  # an event, which tells nothing
    assert not told
    client.close()
    poll_until_told(monitor, told)
    monitor.unwatch_end(connection)
    monitor.tell_ends()
    assert len(told) == 1
    monitor.close()


def test_connection_that_was_watched_is_parked_again(monitor: Monitor, sockets: Sockets) -> None:
    server, client = sockets()
    connection = Connection(server)
    monitor.watch_end(connection, lambda: None)
    client.sendall(b"x")
    monitor.poll(0.01)
    monitor.unwatch_end(connection)
    monitor.park(connection)
    assert claim_ready(monitor) == [connection]
    assert connection.fill() == 1
    client.close()
    monitor.park(connection)
    assert claim_ready(monitor) == [connection]


def test_all_ends_are_told_at_once(monitor: Monitor, sockets: Sockets) -> None:
    told: list[int] = []
    connections = [Connection(sockets()[0]) for _ in range(3)]
    for number, connection in enumerate(connections):
        monitor.watch_end(connection, lambda number=number: told.append(number))  # type: ignore[misc]
    monitor.tell_ends()
    assert told == [0, 1, 2]

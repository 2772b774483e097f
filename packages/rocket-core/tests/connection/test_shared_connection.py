"""Any thread sends on a shared connection, which holds no thread and stays parked for reading."""

from __future__ import annotations

import os
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from coresupport import (
    connect,
    expect_closes,
    rocket_threads,
    serving,
    skip_if_compiled,
    states,
    wait_for,
)
from rocket_core import (
    CloseReason,
    Connection,
    Server,
    SharedConnection,
    SharedProtocol,
    State,
    Timeouts,
    Worker,
)
from rocket_core._connection.server_state import ServerState
from rocket_core.testing import PATIENCE, Client, NarrowListener, descriptors, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Lines(SharedProtocol):
    """Pushes each line in upper case."""

    kind = "lines"

    def __init__(self, worker: SharingWorker) -> None:
        self.worker = worker
        self.shared: SharedConnection

    def received(self, connection: Connection) -> None:
        while (line := connection.take_through(b"\n")) is not None:
            if line == b"bye":
                self.shared.queue(b"BYE\n")
                self.shared.end()
                return
            if line == b"hold":
                self.worker.entered.set()
                wait_for(self.worker.go_on)
            if line == b"fail":
                raise LookupError("of the protocol")
            self.shared.queue(line.upper() + b"\n")

    def drained(self) -> None:
        self.worker.drained.release()

    def ended(self, reason: CloseReason | None) -> None:
        self.worker.reasons.append(reason)


class SharingWorker(Worker):
    """Shares every connection with its first line.

    Attributes:
        shared: the connections, in the order in which they were shared.
        reasons: the reasons for which they have ended.
    """

    def __init__(self, limit: int = 256 * 1024) -> None:
        self.limit = limit
        self.shared: list[SharedConnection] = []
        self.reasons: list[CloseReason | None] = []
        self.drained = threading.Semaphore(0)
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def make(self) -> Lines:
        return Lines(self)

    def serve(self, connection: Connection) -> State:
        connection.take()
        protocol = self.make()
        protocol.shared = connection.share(protocol, limit=self.limit)
        self.shared.append(protocol.shared)
        connection.write(b"shared\n")
        return State.SHARED


@pytest.fixture
def protocol() -> SharingWorker:
    return SharingWorker()


@pytest.fixture
def server(protocol: SharingWorker) -> Iterator[Server]:
    with serving(lambda: protocol) as server:
        yield server
        assert server._server_state.pushed.held == 0 or server.connections


def share(client: Client, protocol: SharingWorker) -> SharedConnection:
    """Have the connection of ``client`` shared and parked; return it."""
    before = len(protocol.shared)
    client.send(b"share\n")
    assert client.read_line() == b"shared\n"
    shared = protocol.shared[before]
    eventually(lambda: shared.connection.state is State.SHARED)
    return shared


def fill(shared: SharedConnection) -> int:
    """Push until the connection refuses more; return how many bytes it took."""
    total = 0
    while shared.push(bytes(50_000)):
        total += 50_000
    return total


def park_after(
    server: Server, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]
) -> None:
    """Have something happen between the last look of an owner and its parking, once.

    In compiled code the method cannot be replaced.
    """
    park = server._monitor.park

    def park_late(connection: Connection) -> None:
        monkeypatch.undo()
        happens()
        park(connection)

    monkeypatch.setattr(server._monitor, "park", park_late)


# -- sending ---------------------------------------------------------------------------------------


def test_any_thread_sends_while_the_client_is_silent(
    server: Server, protocol: SharingWorker
) -> None:
    with connect(server) as client:
        shared = share(client, protocol)
        assert shared.push(b"from this thread\n")
        assert client.read_line() == b"from this thread\n"
        assert client.ask(b"answer\n") == b"ANSWER\n"
        assert shared.push(b"")
        eventually(lambda: shared.pending == 0)  # a moment after the client has it
        assert states(server) == {"shared": 1}


def test_what_many_threads_push_arrives_whole_and_in_the_order_of_each(
    server: Server, protocol: SharingWorker
) -> None:
    count = 300
    with connect(server) as client:
        shared = share(client, protocol)

        def push(thread: int) -> bool:
            return all(shared.push(b"%d %d\n" % (thread, n)) for n in range(count))

        with ThreadPoolExecutor(8) as threads:
            futures = [threads.submit(push, thread) for thread in range(8)]
            lines = [client.read_line().split() for _ in range(8 * count)]
        assert all(future.result() for future in futures)
        for thread in range(8):
            mine = [int(n) for number, n in lines if int(number) == thread]
            assert mine == list(range(count))


def test_push_waits_for_no_thread_that_owns_the_connection(
    server: Server, protocol: SharingWorker
) -> None:
    """1. A thread receives. 2. This one pushes and leaves. 3. The first one parks, and sends."""
    with connect(server) as client:
        shared = share(client, protocol)
        client.send(b"hold\n")
        wait_for(protocol.entered)
        assert shared.push(b"meanwhile\n")
        assert shared.pending == len(b"meanwhile\n")
        protocol.go_on.set()
        assert client.read_line() == b"meanwhile\n"
        assert client.read_line() == b"HOLD\n"


def test_push_while_another_thread_parks_is_sent(
    server: Server, protocol: SharingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The owner finds nothing to send. 2. A thread pushes. 3. The owner parks, and looks."""
    skip_if_compiled("it replaces a method of the Monitor")  # before it claims the connection
    with connect(server) as client:
        shared = share(client, protocol)
        eventually(lambda: server._monitor.claim(shared.connection))  # it is parked a moment later
        park_after(server, monkeypatch, lambda: shared.push(b"in between\n"))
        server._engine._park_shared(shared.connection, shared)
        assert client.read_line() == b"in between\n"


def test_push_before_the_connection_is_parked_follows_what_was_written() -> None:
    class Early(SharingWorker):
        def serve(self, connection: Connection) -> State:
            connection.take()
            shared = connection.share(self.make())
            assert shared.push(b"pushed\n")
            connection.write(b"written\n")
            return State.SHARED

    with serving(Early) as server, connect(server) as client:
        client.send(b"x\n")
        assert client.read_line() == b"written\n"
        assert client.read_line() == b"pushed\n"


def test_worker_that_shares_must_call_share_once(caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(SharingWorker):
        def serve(self, connection: Connection) -> State:
            if connection.take() == b"twice":
                connection.share(self.make())
                connection.share(self.make())
            return State.SHARED

    with serving(Wrong) as server, connect(server) as client, connect(server) as other:
        client.send(b"never")
        assert client.read_all() == b""
        other.send(b"twice")
        assert other.read_all() == b""
        expect_closes(server, {"error": 2})
    assert "a worker returned State.SHARED without Connection.share" in caplog.text
    assert "is shared already" in caplog.text


# -- clients that do not read ----------------------------------------------------------------------


def narrow(limit: int = 256 * 1024, **options: object) -> tuple[SharingWorker, dict[str, object]]:
    protocol = SharingWorker(limit)
    return protocol, {"listener": NarrowListener("127.0.0.1:0"), **options}


def test_client_that_does_not_read_holds_no_thread_and_gets_all_later() -> None:
    protocol, options = narrow()
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as client,
    ):
        shared = share(client, protocol)
        total = fill(shared)
        assert server.statistics().stalled == 0
        eventually(lambda: server.statistics().held == shared.pending > 0)
        eventually(lambda: [each.held for each in server.list_connections()] == [shared.pending])
        assert len(client.read(total)) == total
        assert protocol.drained.acquire(timeout=PATIENCE)
        eventually(lambda: shared.pending == 0)
        assert client.ask(b"alive\n") == b"ALIVE\n"
        eventually(lambda: server.statistics().held == 0)
        assert shared.push(b"again\n")
        assert client.read_line() == b"again\n"


def test_client_that_does_not_read_is_still_received_from() -> None:
    protocol, options = narrow()
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as client,
    ):
        share(client, protocol)
        fill(protocol.shared[0])
        client.send(b"hold\n")
        wait_for(protocol.entered)
        protocol.go_on.set()


def test_client_that_takes_too_little_is_disconnected() -> None:
    protocol, options = narrow(timeouts=Timeouts(grace=0.2, stall=0.2))
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as client,
    ):
        fill(share(client, protocol))
        expect_closes(server, {"response taken too slowly": 1})
        eventually(lambda: len(protocol.reasons) == 1)
        assert server.statistics().held == 0


def test_the_connection_that_holds_most_gives_way() -> None:
    protocol, options = narrow(1 << 30, max_output=2_000_000)
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as greedy,
        connect(server, receive_buffer=4096) as modest,
        connect(server) as reader,
    ):
        most = share(greedy, protocol)
        less = share(modest, protocol)
        none = share(reader, protocol)
        while most.pending < 700_000:
            assert most.push(bytes(50_000))
        while less.connection.close_reason is None and most.connection.close_reason is None:
            assert less.push(bytes(50_000))
        expect_closes(server, {"response taken too slowly": 1})
        assert less.connection.close_reason is None
        assert not most.push(b"x")
        assert none.push(b"untouched\n")
        assert reader.read_line() == b"untouched\n"
        eventually(lambda: server.statistics().held == less.pending <= 1_000_000)


def test_message_that_is_too_large_for_all_connections_together_costs_its_own_alone() -> None:
    protocol, options = narrow(1 << 30, max_output=2_000_000)
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as waiting,
        connect(server) as client,
    ):
        other = share(waiting, protocol)
        assert other.push(bytes(700_000))
        assert not share(client, protocol).push(bytes(1_000_001))
        expect_closes(server, {"response taken too slowly": 1})
        eventually(lambda: protocol.reasons == [CloseReason.SEND_TIMEOUT])
        assert len(waiting.read(700_000)) == 700_000
        eventually(lambda: server.statistics().held == 0)
        assert other.push(bytes(700_000))


def test_what_is_refused_for_lack_of_room_is_followed_by_nothing() -> None:
    """The room may be taken by threads that have not queued yet, so that no connection holds it."""
    protocol, options = narrow(max_output=2_000_000)
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server) as client,
    ):
        shared = share(client, protocol)
        assert server._server_state.pushed.lend(1_000_000)
        assert not shared.queue(b"a response", control=True)
        shared.end(State.IDLE)  # as a protocol does behind a response
        shared.flush()
        assert client.read_all() == b""
        server._server_state.pushed.give_back(1_000_000)


def test_many_short_pieces_take_little_more_memory_than_they_hold() -> None:
    state = ServerState()

    class Blocked:
        server = state

    shared = SharedConnection(Blocked(), Lines(SharingWorker()), 1 << 20)
    count = 50_000
    tracemalloc.start()
    try:
        for number in range(count):
            assert shared.queue(b"%02d" % (number % 100))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert shared.pending == 2 * count
    assert held < 4 * count
    assert shared.drop_queued() == 2 * count


def test_client_that_writes_before_it_reads_gets_all_before_the_end() -> None:
    """It waits for the server to take its bytes, and the server does not read when it ends."""
    protocol, options = narrow()
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as client,
    ):
        shared = share(client, protocol)
        total = fill(shared)
        shared.stop_reading()
        before = shared.connection.claimed_at
        client.send(b"ignored\n")
        eventually(lambda: shared.connection.claimed_at > before)  # from now on, not read any more
        sent = threading.Thread(target=client.send, args=(bytes(16_000_000),), daemon=True)
        sent.start()
        shared.end()
        shared.flush()
        sent.join(PATIENCE)
        assert not sent.is_alive()
        assert len(client.read_all()) == total


# -- the end ---------------------------------------------------------------------------------------


def test_client_that_leaves_is_noticed_and_nothing_is_pushed_any_more(
    server: Server, protocol: SharingWorker
) -> None:
    with connect(server) as client:
        shared = share(client, protocol)
    expect_closes(server, {"client closed": 1})
    assert not shared.push(b"x")
    eventually(lambda: protocol.reasons == [CloseReason.CLIENT])  # told by a thread of the pool


def test_close_follows_all_that_was_pushed() -> None:
    protocol, options = narrow()
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as client,
    ):
        shared = share(client, protocol)
        total = fill(shared)
        shared.end()
        shared.end()
        shared.flush()
        assert not shared.push(b"too late")
        assert states(server) == {"shared": 1}
        assert len(client.read_all()) == total
        client.close()
        expect_closes(server, {"served": 1})
        assert server.statistics().held == 0


class Leaving(Lines):
    """Leaves what comes to the requests that follow."""

    def received(self, connection: Connection) -> None:
        """Take nothing."""


class LeavingWorker(SharingWorker):
    def make(self) -> Lines:
        return Leaving(self)


def test_request_that_arrives_while_another_thread_ends_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. The owner is to read. 2. Another thread answers, and ends. 3. The owner reads."""
    skip_if_compiled("it replaces a property of the connection")
    protocol = LeavingWorker()
    with serving(lambda: protocol) as server, connect(server) as client:
        share(client, protocol)
        reads = SharedConnection.__dict__["reads"].fget

        def reads_before_the_end(shared: SharedConnection) -> object:
            found = reads(shared)
            monkeypatch.undo()
            shared.queue(b"answer\n")
            shared.end(State.IDLE)
            return found

        monkeypatch.setattr(SharedConnection, "reads", property(reads_before_the_end))
        client.send(b"next\n")
        assert client.read_line() == b"answer\n"
        assert client.read_line() == b"shared\n"


def test_protocol_may_close_by_its_answer(server: Server, protocol: SharingWorker) -> None:
    with connect(server) as client:
        share(client, protocol)
        client.send(b"bye\n")
        assert client.read_all() == b"BYE\n"
        client.close()
        expect_closes(server, {"served": 1})


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "blocked"])
def test_reset_while_other_threads_push(*, silent: bool) -> None:
    protocol, options = narrow()
    with serving(lambda: protocol, **options) as server:  # type: ignore[arg-type]
        client = connect(server, receive_buffer=4096)
        shared = share(client, protocol)
        if not silent:
            fill(shared)
        client.reset()
        eventually(lambda: not shared.push(b"x" * 1000) and not server.connections)
        eventually(lambda: len(protocol.reasons) == 1)
        assert server.statistics().held == 0


@pytest.mark.parametrize("polled", [True, False], ids=["reported", "not reported"])
def test_thread_that_finds_the_client_gone_when_it_sends(
    server: Server, protocol: SharingWorker, *, polled: bool
) -> None:
    """1. A thread owns the connection. 2. The client resets it. 3. The thread sends, and parks."""
    client = connect(server)
    shared = share(client, protocol)
    eventually(lambda: server._monitor.claim(shared.connection))
    client.reset()
    eventually(shared.connection.is_broken)
    if polled:
        with connect(server) as other:
            assert other.ask(b"x\n") == b"shared\n"  # what came before was reported by then
    assert shared.queue(b"x")
    server._engine._park_shared(shared.connection, shared)
    assert not shared.push(b"x")
    eventually(lambda: CloseReason.RESET in protocol.reasons)


def test_what_is_cut_while_it_is_sent_is_given_back_once() -> None:
    """1. The owner sends. 2. Another thread cuts, which gives all back. 3. The owner counts."""
    state = ServerState()

    class Sending:
        server = state
        close_reason = None
        unsent = False
        peer = "a client"
        shared: SharedConnection

        def abort(self) -> None:
            """Do nothing."""

        def flush(self) -> bool:
            return True

        def send_now(self, data: bytes) -> int:
            self.shared.cut()
            return len(data)

    connection = Sending()
    shared = connection.shared = SharedConnection(connection, Lines(SharingWorker()), 1000)
    assert "a client lines open" in repr(shared)
    assert shared.queue(b"x" * 100)
    assert shared.send() == 100
    assert (shared.pending, state.pushed.held, state.pushing) == (0, 0, set())


def test_what_was_not_sent_is_not_kept_for_an_application_that_keeps_the_connection() -> None:
    protocol, options = narrow(1 << 30)
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as client,
    ):
        shared = share(client, protocol)
        data = bytes(5_000_000)
        before = sys.getrefcount(data)
        assert shared.push(data)
        assert shared.pending
        assert sys.getrefcount(data) > before
        shared.cut()
        eventually(lambda: protocol.reasons == [CloseReason.SEND_TIMEOUT])
        eventually(lambda: sys.getrefcount(data) == before)


def test_error_of_the_protocol_ends_its_connection_alone(
    server: Server, protocol: SharingWorker, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(server) as client, connect(server) as other:
        share(client, protocol)
        share(other, protocol)
        client.send(b"fail\n")
        assert client.read_all() == b""
        expect_closes(server, {"error": 1})
        eventually(lambda: protocol.reasons == [CloseReason.ERROR])
        assert other.ask(b"alive\n") == b"ALIVE\n"
    assert "of the protocol" in caplog.text


def test_drain_sends_all_and_closes() -> None:
    protocol, options = narrow()
    with (
        serving(lambda: protocol, **options) as server,  # type: ignore[arg-type]
        connect(server, receive_buffer=4096) as slow,
        connect(server) as silent,
    ):
        total = fill(share(slow, protocol))
        share(silent, protocol)
        server.drain(PATIENCE)
        assert silent.read_all() == b""
        silent.close()
        assert len(slow.read_all()) == total
        slow.close()
        assert server.wait(PATIENCE)
        assert server.statistics().closes == {"drained": 2}


def test_drain_that_begins_while_a_thread_owns_the_connection(
    server: Server, protocol: SharingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. A thread owns it. 2. The drain claims what is parked. 3. The thread parks, and looks."""
    skip_if_compiled("it replaces a method of the Monitor")  # before it claims the connection
    with connect(server) as client:
        shared = share(client, protocol)
        eventually(lambda: server._monitor.claim(shared.connection))

        def drain() -> None:
            server.drain(PATIENCE)
            assert server.wait_closed(PATIENCE)
            # The order that drains ends by claiming, and the next one is carried out after it.
            carried_out = threading.Event()
            server._mailbox.post(carried_out.set)
            wait_for(carried_out)

        park_after(server, monkeypatch, drain)
        server._engine._park_shared(shared.connection, shared)
        assert client.read_all() == b""


def test_stop_closes_a_connection_that_another_thread_owns(protocol: SharingWorker) -> None:
    with serving(lambda: protocol) as server, connect(server) as client:
        shared = share(client, protocol)
        eventually(lambda: server._monitor.claim(shared.connection))
        server.stop()
        eventually(lambda: server._server_state.stopped)
        server._engine._park_shared(shared.connection, shared)
        assert server.wait(PATIENCE)
        assert server.connections == 0
        assert not shared.push(b"x")
    assert not rocket_threads()


def test_shared_connections_do_not_make_room_for_newcomers(protocol: SharingWorker) -> None:
    with (
        serving(lambda: protocol, max_connections=1) as server,
        connect(server) as client,
    ):
        shared = share(client, protocol)
        server._eviction._called = time.monotonic()  # else the share of the time is whole again
        server._eviction._share = 0.0
        server._evict()
        assert shared.connection.state is State.SHARED
        assert client.ask(b"alive\n") == b"ALIVE\n"


# -- many ------------------------------------------------------------------------------------------


def crowd(server: Server, protocol: SharingWorker) -> None:
    """Have clients share their connections, be pushed to by many threads, and leave."""
    stop = threading.Event()

    def publish() -> None:
        while not stop.is_set():
            for shared in list(protocol.shared):
                shared.push(b"x" * 700 + b"\n")

    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        stack.callback(stop.set)
        clients = [stack.enter_context(connect(server)) for _ in range(40)]
        for client in clients:
            share(client, protocol)
        futures = [pool.submit(publish) for _ in range(4)]
        for client in clients[::4]:
            client.read(50_000)
        for client in clients[1::4]:
            client.reset()
        for client in clients[2::4]:
            client.send(b"bye\n")
        stop.set()
        for future in futures:
            future.result(PATIENCE)
    protocol.shared.clear()


def test_crowds_that_come_and_go_leave_nothing_behind() -> None:
    protocol, options = narrow(32 * 1024, threads=4)
    with serving(lambda: protocol, **options) as server:  # type: ignore[arg-type]
        threads, before = threading.active_count(), descriptors()
        for _ in range(int(os.environ.get("ROCKET_SOAK_ROUNDS", "3"))):
            crowd(server, protocol)
            eventually(lambda: server.connections == 0)
            assert server.statistics().held == 0
            assert not server._server_state.pushing
        assert threading.active_count() <= threads
        assert descriptors() <= before

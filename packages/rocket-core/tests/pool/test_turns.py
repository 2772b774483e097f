"""What is to be done for shared connections waits in the queue of the pool, beside requests."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from coresupport import connect, expect_closes, releasing, wait_for
from rocket_core import CloseReason
from rocket_core.testing import PATIENCE, eventually
from sharing import Recorder, busy_workers, share, shared_with, sharing

if TYPE_CHECKING:
    import pytest

    from rocket_core import Server
    from rocket_core.testing import Client


def call(protocol: Recorder) -> None:
    """Have a thread of the pool do something for a connection."""
    protocol.shared.call()
    protocol.shared.flush()


def queued(server: Server) -> int:
    """Return how many requests and turns wait for a worker."""
    return server.statistics().ready


# -- order -----------------------------------------------------------------------------------------


def test_turn_is_taken_by_a_thread_of_the_pool() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        call(protocol)
        protocol.wait_for("turn")
        assert protocol.threads["turn"].startswith("rocket-worker-")
        eventually(lambda: server.statistics().shared["recorder"].parked == 1)


def test_many_calls_before_a_turn_are_one() -> None:
    with (
        sharing(threads=1) as (server, worker),
        shared_with(server, worker) as (_, protocol),
        busy_workers(server, worker, 1) as go_on,
    ):
        for _ in range(5):
            call(protocol)
        eventually(lambda: queued(server) == 1)  # it may just be looked at
        go_on.set()
        protocol.wait_for("turn")
        eventually(lambda: not queued(server))
        assert protocol.told == ["turn"]


def test_connection_with_much_to_do_and_connections_with_little_are_treated_alike() -> None:
    order: list[str] = []
    with (
        sharing(threads=1) as (server, worker),
        shared_with(server, worker) as (_, much),
        shared_with(server, worker) as (_, little),
        busy_workers(server, worker, 1) as go_on,
        connect(server) as client,
    ):
        left = [1, 2, 3]

        def one_of_many() -> bool:
            order.append("much")
            return left.pop() > 1

        much.does["turn"] = one_of_many
        little.does["turn"] = lambda: order.append("little")
        call(much)
        call(little)
        client.send(b"request\n")
        eventually(lambda: queued(server) == 3)
        go_on.set()
        assert client.read_line() == b"request\n"
        eventually(lambda: len(order) == 4)
        assert {*order[:2]} == {"much", "little"}


def test_call_during_a_turn_is_followed_by_another() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        calls = [1, 2, 3]

        def again() -> None:
            if calls:
                calls.pop()
                protocol.shared.call()

        protocol.does["turn"] = again
        call(protocol)
        protocol.wait_for("turn", 4)


def test_turns_of_one_connection_do_not_overlap_and_no_call_is_lost() -> None:
    with sharing(threads=4) as (server, worker), shared_with(server, worker) as (_, protocol):
        inside = threading.Lock()
        lock = threading.Lock()
        called = seen = 0
        overlapped = []

        def turn() -> None:
            nonlocal seen
            if not inside.acquire(blocking=False):
                overlapped.append(1)
                return
            with lock:
                seen = called
            inside.release()

        protocol.does["turn"] = turn

        def caller() -> None:
            nonlocal called
            for _ in range(300):
                with lock:
                    called += 1
                    protocol.shared.call()
                protocol.shared.flush()

        threads = [threading.Thread(target=caller) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        eventually(lambda: seen == 1200)
        assert not overlapped


def test_turns_of_different_connections_are_taken_at_once() -> None:
    barrier = threading.Barrier(3)
    with sharing(threads=3) as (server, worker), ExitStack() as stack:
        for _ in range(3):
            _, protocol = stack.enter_context(shared_with(server, worker))
            protocol.does["turn"] = lambda: barrier.wait(PATIENCE) and None
            call(protocol)
        eventually(lambda: server.statistics().turns == 3)


def test_what_is_noted_in_a_turn_is_carried_out_at_its_end() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):

        def answer() -> None:
            for line in protocol.lines:
                protocol.shared.queue(line.upper() + b"\n")

        protocol.does["received"] = protocol.shared.call
        protocol.does["turn"] = answer
        client.send(b"message\n")
        assert client.read_line() == b"MESSAGE\n"


def test_what_one_worker_leaves_is_taken_by_another() -> None:
    """1. A worker receives, and leaves a turn. 2. It goes into the application for another one."""
    with (
        sharing(threads=3) as (server, worker),
        shared_with(server, worker) as (first, one),
        shared_with(server, worker) as (second, two),
        busy_workers(server, worker, 1),
    ):
        go_on = threading.Event()
        with releasing(go_on):
            one.does = {"received": one.shared.call, "turn": lambda: wait_for(go_on)}
            two.does = {"received": two.shared.call}
            first.send(b"1\n")
            second.send(b"2\n")
            two.wait_for("turn")


# -- limits ----------------------------------------------------------------------------------------


def test_turns_leave_room_in_the_queue_for_requests() -> None:
    with sharing(threads=1, max_queue=1) as (server, worker), ExitStack() as stack:
        waiting = [stack.enter_context(shared_with(server, worker))[1] for _ in range(5)]
        go_on = stack.enter_context(busy_workers(server, worker, 1))
        for each in waiting:
            call(each)
        first = stack.enter_context(connect(server))
        first.send(b"in the queue\n")
        eventually(lambda: queued(server) == 6)
        second = stack.enter_context(connect(server))
        second.send(b"one too many\n")
        assert second.read_all() == b""
        go_on.set()
        assert first.read_line() == b"in the queue\n"
        for each in waiting:
            each.wait_for("turn")
        expect_closes(server, {"overloaded": 1})


def test_turn_waits_however_long_all_workers_are_busy() -> None:
    with (
        sharing(threads=1, queue_timeout=0.05) as (server, worker),
        shared_with(server, worker) as (_, protocol),
        connect(server) as client,
        busy_workers(server, worker, 1) as go_on,
    ):
        call(protocol)
        client.send(b"request\n")
        assert client.read_all() == b""  # a request waits no longer than that
        eventually(lambda: queued(server) == 1)  # it may just be looked at
        go_on.set()
        protocol.wait_for("turn")
        expect_closes(server, {"overloaded": 1})


def overdue(client: Client, protocol: Recorder, entered: threading.Event) -> None:
    """Send, so that the connection is heard of; and have its turn begin, which takes too long."""
    client.send(b"line\n")
    call(protocol)
    wait_for(entered)
    protocol.wait_for("overdue")


def test_turn_that_takes_too_long_is_told_by_the_monitors_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    with (
        sharing(threads=1, request_timeout=0.1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (client, protocol),
    ):

        def late() -> None:
            if protocol.told.count("turn") == 1:
                entered.set()
                wait_for(go_on)

        protocol.does["turn"] = late
        protocol.does["overdue"] = lambda: protocol.shared.queue(b"too late\n")
        overdue(client, protocol, entered)
        assert client.read_line() == b"too late\n"
        assert protocol.threads["overdue"] == "rocket-monitor"
        with connect(server) as other:  # another thread has taken the place of the late one
            assert other.ask(b"request\n") == b"request\n"
        assert server.statistics().stalled == 1
        go_on.set()
        eventually(lambda: server.statistics().stalled == 0)
        call(protocol)
        protocol.wait_for("turn", 2)
        assert protocol.told.count("overdue") == 1
    message = next(each for each in caplog.messages if "request_timeout" in each)
    assert "recording exceeded request_timeout (0.1 s): told its protocol" in message
    assert "wait_for(go_on)" in message


def test_turn_that_takes_too_long_ends_the_connection_unless_the_protocol_does_otherwise() -> None:
    entered, go_on = threading.Event(), threading.Event()
    with (
        sharing(threads=1, request_timeout=0.1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (client, protocol),
    ):

        def late() -> None:
            if "ended" not in protocol.told:
                entered.set()
                wait_for(go_on)

        protocol.does["turn"] = late
        overdue(client, protocol, entered)
        eventually(lambda: server.statistics().closes == {"request timed out": 1})
        assert protocol.shared.over
        assert "ended" not in protocol.told  # the turn is not over
        go_on.set()
        protocol.wait_for("ended")
        assert protocol.reason is CloseReason.REQUEST_TIMEOUT
        assert protocol.told[-2:] == ["ended", "turn"]


def test_error_in_overdue_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise LookupError("of the protocol")

    entered, go_on = threading.Event(), threading.Event()
    with (
        sharing(threads=1, request_timeout=0.1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (client, protocol),
    ):
        protocol.does["overdue"] = fail

        def late() -> None:
            entered.set()
            wait_for(go_on)

        protocol.does["turn"] = late
        protocol.does["ended"] = protocol.does.clear
        overdue(client, protocol, entered)
        eventually(lambda: server.statistics().closes == {"error": 1})
        go_on.set()
        protocol.wait_for("ended")
        assert protocol.reason is CloseReason.ERROR
    assert "of the protocol" in caplog.text


def test_turn_in_time_is_not_overdue() -> None:
    with (
        sharing(request_timeout=PATIENCE) as (server, worker),
        shared_with(server, worker) as (_, protocol),
    ):
        call(protocol)
        protocol.wait_for("turn")
        eventually(lambda: protocol.shared.lease is None)
        assert "overdue" not in protocol.told


def test_watchdog_logs_a_turn_that_takes_long(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with sharing(watchdog=0.05) as (server, worker), busy_workers(server, worker, 1):
        eventually(lambda: "longer than watchdog" in caplog.text)


def test_turn_in_which_the_application_waits_for_the_client_counts_as_away() -> None:
    go_on = threading.Event()
    with (
        sharing(threads=1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (_, protocol),
    ):

        def wait() -> None:
            with server._pool.stalled(protocol.shared):
                wait_for(go_on)

        protocol.does["turn"] = wait
        call(protocol)
        eventually(lambda: server.statistics().stalled == 1)
        assert protocol.shared.stalled_since > 0
        with connect(server) as client:
            assert client.ask(b"request\n") == b"request\n"
        go_on.set()
        eventually(lambda: server.statistics().stalled == 0)


def test_times_of_turns_are_counted_as_those_of_requests() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        before = server.statistics().service_time.count
        protocol.does["turn"] = lambda: time.sleep(0.01)
        call(protocol)
        eventually(lambda: server.statistics().service_time.count == before + 1)
        assert server.statistics().turns == 1
        assert server.statistics().requests == 1


# -- many ------------------------------------------------------------------------------------------


def test_crowds_with_turns_that_come_and_go_leave_nothing_behind() -> None:
    """Each of many clients sends messages that turns answer; some leave in the midst of it."""
    with sharing(threads=4) as (server, worker):
        for _ in range(3):
            with ExitStack() as stack:
                clients = [stack.enter_context(connect(server)) for _ in range(30)]
                protocols = [share(client, worker) for client in clients]
                for protocol in protocols:
                    echo(protocol)
                for number, client in enumerate(clients):
                    client.send(b"".join(b"%d\n" % n for n in range(20)))
                    if number % 3 == 1:
                        client.reset()
                for client in clients[::3]:
                    assert [int(client.read_line()) for _ in range(20)] == list(range(20))
            for protocol in protocols:
                protocol.wait_for("ended")
            eventually(lambda: not server.connections)
            assert {each.told.count("ended") for each in protocols} == {1}
            assert not server._pool.turns
            worker.protocols.clear()


def echo(protocol: Recorder) -> None:
    """Have each turn of a connection answer one line."""

    def answer() -> bool:
        if protocol.lines:
            protocol.shared.queue(protocol.lines.pop(0) + b"\n")
        return bool(protocol.lines)

    protocol.does = {"received": protocol.shared.call, "turn": answer}

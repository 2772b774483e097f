"""The note of what a thread does is true of that thread, whatever other threads do meanwhile.

In these tests the test's own thread is a thread of the pool that is slow: it has done a step, and
does not get any further while another thread of the server serves.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coresupport import Gate, LineWorker, connect, peeked, serving, states, wait_for
from rocket_core import Activity, Connection, Server, State
from rocket_core._engine.counters import Counters
from rocket_core._engine.seat import Seat
from rocket_core.testing import Client, eventually
from sharing import own, shared_with, sharing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rocket_core import Worker


class Talkative(LineWorker):
    """A worker that says what it does, also where that is over."""

    def doing(self) -> str:
        return "something"


def seat_of_this_thread(worker: Worker) -> Seat:
    seat = Seat(worker, Counters())
    seat.thread = threading.current_thread()
    return seat


def idle(activity: Activity | None) -> bool:
    """Return whether ``activity`` is that of a thread without a client."""
    assert activity is not None
    return (activity.peer, activity.since, activity.state, activity.doing) == (None, 0, None, "")


@contextmanager
def claimed(gate: Gate) -> Iterator[tuple[Server, Client, Connection, Seat]]:
    """Claim a parked connection of a server, and note that this thread is busy with it."""
    with serving(lambda: Talkative(gate)) as server, connect(server) as client:
        eventually(lambda: states(server) == {"idle": 1})
        (connection,) = server._registry.snapshot()
        eventually(lambda: server._monitor.claim(connection))  # it is parked a moment later
        seat = seat_of_this_thread(Talkative())
        seat.busy = connection, time.monotonic()
        try:
            yield server, client, connection, seat
        finally:
            gate.opened.set()


def expect_one_busy(server: Server, gate: Gate, client: Client, seat: Seat) -> None:
    """Expect that one thread is said to serve ``client``, which is held now, and not this one."""
    gate.wait()
    assert idle(seat.activity())
    first, second = server.activities()
    assert (str(first.peer), first.state, first.doing) == (client.name, State.ACTIVE, "something")
    assert idle(second)


def test_thread_that_has_received_nothing_is_not_busy_with_what_another_serves() -> None:
    gate = Gate()
    with claimed(gate) as (server, client, connection, seat):
        assert not server._engine.advance(connection, seat)
        client.send(b"hold\n")
        expect_one_busy(server, gate, client, seat)


def test_thread_that_has_served_is_not_busy_with_what_another_serves() -> None:
    gate = Gate()
    with claimed(gate) as (server, client, connection, seat):
        client.send(b"x\n")
        eventually(lambda: peeked(connection))
        assert server._engine.advance(connection, seat)
        assert not server._engine.serve(connection, seat)
        assert client.read_line() == b"X\n"
        client.send(b"hold\n")
        expect_one_busy(server, gate, client, seat)


def test_thread_that_serves_is_busy() -> None:
    def handle(connection: Connection, line: bytes, body: bytes) -> State:
        found.append(seat.activity())
        connection.write(line + body)
        return State.IDLE

    found: list[Activity | None] = []
    with claimed(Gate()) as (server, client, connection, _):
        seat = seat_of_this_thread(Talkative(handle))
        seat.busy = connection, 1.5
        client.send(b"x\n")
        eventually(lambda: peeked(connection))
        assert server._engine.advance(connection, seat)
        server._engine.serve(connection, seat)
        (activity,) = found
        assert activity is not None
        assert str(activity.peer) == client.name
    assert activity.thread == threading.current_thread().name
    assert (activity.since, activity.state, activity.doing) == (1.5, State.ACTIVE, "something")


def test_thread_that_has_received_for_a_shared_connection_is_not_busy_with_it() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        connection = protocol.shared.connection
        own(server, protocol.shared)
        seat = seat_of_this_thread(worker)
        seat.busy = connection, time.monotonic()
        assert not server._engine.advance(connection, seat)
        assert idle(seat.activity())


def test_thread_that_has_shared_a_connection_is_not_busy_with_it() -> None:
    with sharing() as (server, worker), connect(server) as client:
        eventually(lambda: states(server) == {"idle": 1})
        (connection,) = server._registry.snapshot()
        eventually(lambda: server._monitor.claim(connection))
        client.send(b"share\n")
        eventually(lambda: peeked(connection))
        seat = seat_of_this_thread(worker)
        seat.busy = connection, time.monotonic()
        assert server._engine.advance(connection, seat)
        assert not server._engine.serve(connection, seat)
        assert idle(seat.activity())


def test_thread_that_has_had_a_turn_is_not_busy_with_the_next_one() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        entered, leave = threading.Event(), threading.Event()
        seat = seat_of_this_thread(worker)

        def hold() -> None:
            entered.set()
            wait_for(leave)

        def look() -> None:
            found.append(seat.activity())

        found: list[Activity | None] = []
        protocol.does["turn"] = look
        seat.busy = protocol.shared, time.monotonic()
        assert not server._engine.serve_turn(protocol.shared, seat)
        (during,) = found
        assert during is not None
        assert during.doing == "recording"
        protocol.does["turn"] = hold
        protocol.shared.call()
        protocol.shared.flush()
        wait_for(entered)
        try:
            assert idle(seat.activity())
        finally:
            leave.set()


def test_thread_that_gives_a_connection_away_during_the_look_is_not_busy(
    pair: tuple[Connection, socket.socket],
) -> None:
    """The look at what the thread does comes to the worker, which has gone on by then."""

    class GoesOn(LineWorker):
        def doing(self) -> str:
            seat.busy = None
            return "something"

    connection, _ = pair
    for state in (State.READY, State.ACTIVE):
        connection.enter(state)
    seat = seat_of_this_thread(GoesOn())
    seat.busy = connection, time.monotonic()
    assert idle(seat.activity())

"""The promise holds: whatever clients do slowly, no thread of the pool is missing."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest

from coresupport import LineWorker, connect, expect_closes, serving, states, stuff
from rocket_core import Connection, State, Timeouts
from rocket_core._connection.budget import GRAIN, TOTAL_OUTPUT
from rocket_core.testing import Client, at_growing_scales, eventually, many_descriptors, within
from slowserver import THREADS, SlowServer

CROWD = 300
FLOOD = 12_000_000
TIME = 1.2
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
CONNECTION_MEMORY = 16 * 1024
# Without the GIL, Python's allocator has heaps for each thread, and keeps for a while what is free.
THREAD_MEMORY = 64 * 1024 if GIL else 320 * 1024
SPREAD = 1 if GIL else 3


@dataclass(frozen=True, kw_only=True)
class Slowness:
    """What each client of a crowd does, and how the server ends its connection.

    Attributes:
        sent: the bytes that the client sends first.
        answered: the response of the server to these, before the client becomes slow.
        dripped: the bytes that the client goes on sending.
        state: the state in which the connection waits.
        stalls: whether a thread waits for the client, and is replaced.
        timeouts: the limits that end the connection, in seconds, and bytes per second.
        reason: the reason for which the server closes the connection.
        held: bytes of a response that the server may hold for the client.
    """

    sent: bytes = b""
    answered: bytes = b""
    dripped: bytes = b""
    state: str
    stalls: bool = False
    timeouts: dict[str, float]
    reason: str
    held: int = 0

    def times(self, scale: float) -> dict[str, float]:
        """Return the time-outs, ``scale`` times as long."""
        return {
            name: value if name == "minimum_rate" else value * scale
            for name, value in self.timeouts.items()
        }

    def shortest(self, scale: float) -> float:
        """Return the seconds in which no connection is closed."""
        return min(value for name, value in self.times(scale).items() if name != "minimum_rate")


SLOWNESS = {
    "silent": Slowness(
        state="idle",
        timeouts={"keep_alive": TIME},
        reason="keep-alive timed out",
    ),
    "kept alive": Slowness(
        sent=b"hello\n",
        answered=b"HELLO\n",
        state="idle",
        timeouts={"keep_alive": TIME},
        reason="keep-alive timed out",
    ),
    "head": Slowness(
        sent=b"half a li",
        dripped=b"x",
        state="head",
        timeouts={"head": TIME},
        reason="head timed out",
    ),
    "body": Slowness(
        sent=b"body 1000000\nhalf",
        dripped=b"x",
        state="body",
        timeouts={"grace": 3 * TIME, "minimum_rate": 1_000_000},
        reason="body too slow",
    ),
    "body that a thread waits for": Slowness(
        sent=b"ask\nhalf",
        state="active",
        stalls=True,
        timeouts={"stall": 3 * TIME},  # in which as many threads begin as there are clients
        reason="body too slow",
    ),
    "response": Slowness(
        sent=b"size 200000\n",
        state="sending",
        timeouts={"stall": TIME},
        reason="response taken too slowly",
        held=200_000,
    ),
    "response from a file": Slowness(
        sent=b"file\n",
        state="sending",
        timeouts={"stall": TIME},
        reason="response taken too slowly",
    ),
    "response beyond the bound": Slowness(
        sent=b"pieces 1000\n",
        state="active",
        stalls=True,
        timeouts={"stall": 3 * TIME},  # in which as many threads begin as there are clients
        reason="response taken too slowly",
        held=TOTAL_OUTPUT // CROWD + 1 + GRAIN,
    ),
    "linger": Slowness(
        sent=b"bye\n",
        answered=b"BYE\n",
        dripped=b"more\n",
        state="linger",
        timeouts={"linger": TIME},
        reason="linger timed out",
    ),
}


class Crowd:
    """Clients that are slow in one way."""

    def __init__(self, server: SlowServer, slowness: Slowness) -> None:
        self._slowness = slowness
        self._clients = [server.connect() for _ in range(CROWD)]
        for client in self._clients:
            client.send(slowness.sent)
        for client in self._clients:
            assert client.read(len(slowness.answered)) == slowness.answered

    def drip(self) -> bool:
        """Have each client send a little more; return whether the server has closed them all."""
        return sum(map(self._is_closed, self._clients)) == CROWD

    def _is_closed(self, client: Client) -> bool:
        try:
            client.send(self._slowness.dripped)
        except ConnectionError:
            return True
        return False

    def wait_for_close(self) -> None:
        """Return when each client has noticed that the server has closed its connection."""
        if self._slowness.dripped:
            eventually(self.drip)
        else:
            assert all(map(Client.closed_by_server, self._clients))


@pytest.mark.parametrize("slowness", SLOWNESS.values(), ids=SLOWNESS)
def test_crowd_of_slow_clients_holds_no_thread(slowness: Slowness) -> None:
    at_growing_scales(partial(crowd_holds_no_thread, slowness))


def crowd_holds_no_thread(slowness: Slowness, scale: float) -> None:
    stalled = CROWD if slowness.stalls else 0
    in_place = Counter({slowness.state: CROWD}) + Counter(idle=1)
    with (
        many_descriptors(4 * CROWD),
        SlowServer(slowness.times(scale), max_stalled=2 * CROWD) as server,
    ):
        fast = server.connect()
        assert fast.ask(b"quick\n") == b"QUICK\n"
        before = server.until(lambda report: not report.busy)

        with within(slowness.shortest(scale)):
            crowd = Crowd(server, slowness)
            server.until(
                lambda report: (
                    report.connections.get(slowness.state, 0) >= CROWD or bool(report.closes)
                )
            )
            for number in range(100):
                assert fast.ask(b"quick %d\n" % number) == b"QUICK %d\n" % number
                if number % 10 == 0:
                    crowd.drip()
            report = server.until(
                lambda report: (
                    (report.busy == report.stalled == stalled and report.connections == in_place)
                    or bool(report.closes)
                )
            )
            assert report.closes == {}
        assert report.threads <= THREADS + stalled
        assert report.held <= CROWD * slowness.held
        grown = report.resident - before.resident
        crowd_memory = CROWD * (slowness.held * SPREAD + CONNECTION_MEMORY)
        assert grown <= crowd_memory + stalled * THREAD_MEMORY

        fast.close()
        closes = {slowness.reason: CROWD, "client closed": 1}
        eventually(lambda: (crowd.drip(), server.report().closes == closes)[1])
        crowd.wait_for_close()
        report = server.until(lambda report: not report.busy)
        assert (report.connections, report.held) == ({}, 0)
        assert report.descriptors == before.descriptors - 1


def test_no_more_threads_wait_for_one_address_than_are_left_for_others() -> None:
    """Surplus connections are cut at once, so that no other client has to wait."""
    with many_descriptors(4 * CROWD), SlowServer({}, max_stalled=CROWD) as server:
        slow = [server.connect() for _ in range(CROWD)]
        for client in slow:
            client.send(b"pieces 1000\n")
        most = CROWD // 2
        closes = {"response taken too slowly": CROWD - most}
        server.until(lambda report: (report.stalled, report.closes) == (most, closes))
        fast = server.connect()
        assert fast.ask(b"quick\n") == b"QUICK\n"
        for client in slow:
            client.close()
        server.until(lambda report: (report.stalled, report.busy) == (0, 0))
        report = server.report()
        assert report.threads <= THREADS + CROWD


def test_more_clients_than_threads_can_wait_for_leave_others_their_turn() -> None:
    with many_descriptors(4 * CROWD), SlowServer({}, max_stalled=50) as server:
        slow = [server.connect(f"127.0.1.{number}") for number in range(1, 51 + THREADS)]
        for client in slow:
            client.send(b"pieces 1000\n")
        server.until(lambda report: report.stalled >= 50)
        for number in range(20):
            fast = server.connect()
            assert fast.ask(b"quick %d\n" % number) == b"QUICK %d\n" % number
        report = server.report()
        assert report.threads <= THREADS + 50
        # At most one client had to give way for each thread that the others need.
        assert report.closes.get("response taken too slowly", 0) <= THREADS


@pytest.mark.parametrize("request_", [b"stuff\n", b"flood\n"], ids=["sending", "waiting"])
def test_steady_reader_is_not_cut_though_the_system_accepts_nothing_for_long(
    request_: bytes,
) -> None:
    """The bytes that the client takes count, not the bytes for which the system has room."""
    at_growing_scales(partial(steady_reader_is_not_cut, request_))


def steady_reader_is_not_cut(request_: bytes, scale: float) -> None:
    limit = 0.4 * scale
    timeouts = Timeouts(stall=limit, grace=limit)

    def answer(connection: Connection, line: bytes, body: bytes) -> State:
        if line == b"stuff":
            return stuff(connection, line, body)
        connection.write(bytes(FLOOD))
        return State.IDLE

    with (
        serving(lambda: LineWorker(answer), threads=2, timeouts=timeouts) as server,
        connect(server, receive_buffer=16 * 1024) as steady,
    ):
        steady.send(request_)
        eventually(lambda: states(server).get("idle", 0) == 0)
        waited = threading.Event()
        for _ in range(30):  # far longer than either time-out, at a rate far above the minimum
            with within(limit / 2):
                assert steady.read(8 * 1024)
                waited.wait(limit / 4)
        assert server.statistics().closes == {}
        expect_closes(server, {"response taken too slowly": 1})

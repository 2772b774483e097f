"""The promise, as clients of HTTP see it: however slow they are, no thread waits for them."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core.testing import Client, at_growing_scales, many_descriptors, within
from slowserver import FILE_SIZE, PIECE, PIECES, THREADS, WHOLE, SlowServer

if TYPE_CHECKING:
    pass


CROWD = 300
TIME = 1.2
TOTAL_OUTPUT = 64 * 1024 * 1024
"""What a server holds for all its clients, unless told otherwise."""
TOTAL_INPUT = 32 * 1024 * 1024
"""What it keeps in memory of all large bodies."""
GRAIN = 16 * 1024
"""What it holds for one more client even then."""
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
CONNECTION_MEMORY = 80 * 1024
"""A client's buffer, and of its body what is not in a file."""
# Without the GIL, Python's allocator has heaps for each thread, and keeps for a while what is free.
THREAD_MEMORY = 64 * 1024 if GIL else 320 * 1024
SPREAD = 1 if GIL else 3
BEGUN = bytes(200_000)
"""As much of a body as stays in memory only while there is room for it."""

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc")


@dataclass(frozen=True, kw_only=True)
class Slowness:
    """What each client of a crowd does, and what becomes of it.

    Attributes:
        sent: what it begins with.
        answered: the status that the server answers that with, before the client becomes slow.
        dripped: what it goes on sending.
        state: what its connection waits for.
        stalls: whether a thread waits for it, and is replaced.
        timeouts: what ends it, in seconds, and bytes per second.
        reason: why it is closed.
        refused: the status it is told then.
        longest: bytes of the response that it does not get whole.
        held: bytes of a response that the server may hold for it.
        spools: whether a file has what it has sent, unless there is room in memory.
        settings: of the worker.
    """

    sent: bytes
    answered: int | None = None
    dripped: bytes = b""
    state: str
    stalls: bool = False
    timeouts: dict[str, float]
    reason: str
    refused: int | None = None
    longest: int = 0
    held: int = 0
    spools: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def times(self, scale: float) -> dict[str, float]:
        """The time-outs, ``scale`` times as long."""
        return {
            name: value if name == "minimum_rate" else value * scale
            for name, value in self.timeouts.items()
        }

    def shortest(self, scale: float) -> float:
        """The seconds in which nothing is closed."""
        return min(value for name, value in self.times(scale).items() if name != "minimum_rate")


SLOWNESS = {
    "head": Slowness(
        sent=b"GET / HTTP/1.1\r\nHost: ",
        dripped=b"x",
        state="head",
        timeouts={"head": TIME},
        reason="head timed out",
        refused=408,
    ),
    "body": Slowness(
        sent=b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + BEGUN,
        dripped=b"x",
        state="body",
        timeouts={"grace": 3 * TIME, "minimum_rate": 1e9},
        reason="body too slow",
        refused=408,
        spools=True,
    ),
    "body in chunks": Slowness(
        sent=b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + BEGUN,
        dripped=b"x",
        state="body",
        timeouts={"grace": 3 * TIME, "minimum_rate": 1e9},
        reason="body too slow",
        refused=408,
        spools=True,
    ),
    "body that the application waits for": Slowness(
        sent=b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\nbegun",
        state="active",
        stalls=True,
        timeouts={"stall": 3 * TIME},  # in which as many threads begin as there are clients
        reason="body too slow",
        settings={"stream_bodies": True},
    ),
    "response": Slowness(
        sent=b"GET /whole HTTP/1.1\r\nHost: a\r\n\r\n",
        state="sending",
        timeouts={"stall": TIME},
        reason="response taken too slowly",
        longest=len(WHOLE),
        held=len(WHOLE) + 1000,
    ),
    "response from a file": Slowness(
        sent=b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n",
        state="sending",
        timeouts={"stall": TIME},
        reason="response taken too slowly",
        longest=FILE_SIZE,
    ),
    "response that is generated": Slowness(
        sent=b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n",
        state="active",
        stalls=True,
        timeouts={"stall": 3 * TIME},  # in which as many threads begin as there are clients
        reason="response taken too slowly",
        longest=len(PIECE) * PIECES,
        held=TOTAL_OUTPUT // CROWD + 1 + GRAIN,
    ),
    "linger": Slowness(
        sent=b"No HTTP\r\n\r\n",
        answered=400,
        dripped=b"more\r\n",
        state="linger",
        timeouts={"linger": TIME},
        reason="linger timed out",
    ),
}


class Crowd:
    """Clients that are slow in one way."""

    def __init__(self, server: SlowServer, slowness: Slowness) -> None:
        self._slowness = slowness
        self._streams = [server.connect() for _ in range(CROWD)]
        for stream in self._streams:
            stream.send(slowness.sent)
        if slowness.answered is not None:
            for stream in self._streams:
                assert stream.answer().status == slowness.answered

    def drip(self) -> bool:
        """Have each send a little more; whether the server has closed them all."""
        return sum(map(self._is_closed, self._streams)) == CROWD

    def _is_closed(self, stream: Client) -> bool:
        try:
            stream.send(self._slowness.dripped)
        except ConnectionError:
            return True
        return False

    def read_refusals(self) -> None:
        """Each is told why it is served no more, and leaves."""
        for stream in self._streams:
            assert stream.answer().status == self._slowness.refused
            assert stream.read_all() == b""
            stream.close()

    def read_what_there_is(self) -> None:
        """Each notices that it does not get all."""
        for stream in self._streams:
            try:
                received = len(stream.read_all())
            except ConnectionResetError:
                continue
            assert received < max(self._slowness.longest, 1)


@pytest.mark.parametrize("slowness", SLOWNESS.values(), ids=SLOWNESS)
def test_a_crowd_of_slow_clients_holds_no_thread(slowness: Slowness) -> None:
    at_growing_scales(partial(crowd_holds_no_thread, slowness))


def crowd_holds_no_thread(slowness: Slowness, scale: float) -> None:
    stalled = CROWD if slowness.stalls else 0
    in_place = Counter({slowness.state: CROWD}) + Counter(idle=1)
    with (
        many_descriptors(4 * CROWD),
        SlowServer(slowness.times(scale), slowness.settings, max_stalled=2 * CROWD) as server,
    ):
        fast = server.connect()
        fast.send(GET)
        assert fast.answer().body == b"0"
        before = server.until(lambda report: not report.busy)

        with within(slowness.shortest(scale)):
            crowd = Crowd(server, slowness)
            server.until(
                lambda report: (
                    report.connections.get(slowness.state, 0) == CROWD or bool(report.closes)
                )
            )
            for number in range(100):
                body = bytes(number)
                head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % number
                fast.send(head + body)
                assert fast.answer().body == b"%d" % number
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
        roomy = TOTAL_INPUT // len(BEGUN) if slowness.spools else 0
        files = range(CROWD - roomy, CROWD) if slowness.spools else (0,)
        assert len(report.spooled) in files
        assert sum(report.spooled) <= CROWD * (len(slowness.sent) + 10)
        grown = report.resident - before.resident
        allowed = CROWD * (slowness.held * SPREAD + CONNECTION_MEMORY)
        assert grown <= allowed + stalled * THREAD_MEMORY + roomy * len(BEGUN)

        fast.close()
        closes = {slowness.reason: CROWD, "client closed": 1}
        if slowness.refused is not None:
            crowd.read_refusals()
            server.until(lambda report: report.closes == closes)
        elif slowness.dripped:
            server.until(lambda report: crowd.drip() and report.closes == closes)
        else:
            server.until(lambda report: report.closes == closes)
            crowd.read_what_there_is()
        report = server.until(lambda report: not report.busy)
        assert (report.connections, report.held, report.spooled) == ({}, 0, [])
        assert report.descriptors == before.descriptors - 1


def test_readers_of_a_long_response_that_are_slow_but_steady_are_not_cut() -> None:
    readers = 200
    with many_descriptors(4 * readers), SlowServer({}, {}, max_stalled=2 * readers) as server:
        fast = server.connect()
        fast.send(GET)
        assert fast.answer().body == b"0"
        before = server.until(lambda report: not report.busy)
        slow = [server.connect() for _ in range(readers)]
        for stream in slow:
            stream.send(b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n")
            assert stream.head().status == 200
        server.until(lambda report: report.stalled == readers)
        for _ in range(20):
            for stream in slow:
                assert len(stream.read(1024)) == 1024
            fast.send(GET)
            assert fast.answer().body == b"0"
        report = server.until(lambda report: report.busy == report.stalled == readers)
        assert report.threads <= THREADS + readers
        assert report.closes == {}
        assert report.held <= TOTAL_OUTPUT + readers * GRAIN
        assert report.resident - before.resident < (150 << 20) * SPREAD
        for stream in slow:
            stream.close()
        report = server.until(lambda report: report.stalled == report.busy == 0)
        assert report.held == 0

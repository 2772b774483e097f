"""Attacks on a server with eight threads, over real sockets: none of them holds a thread.

Eight clients attack at the same time, so that a server would have no thread left if each client
could hold one. Then all threads must be obtainable at one moment, by other clients.
"""

from __future__ import annotations

import selectors
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attacks import FLOODS, MADE
from hpacksupport import indexed, literal
from raw.case import GET, HELLO, block, continuation, data, headers, post, reset, settings
from raw.case import update as window_update

from http2_client import HTTP2Client
from rocket_core import Timeouts
from rocket_core._connection.budget import Budget
from rocket_core._connection.disk_budget import DiskBudget
from rocket_core.testing import PATIENCE, descriptors, eventually
from rocket_wsgi import StaticFiles
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.limits import MAX_STREAMS
from websocket_peer import Peer

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Serve
    from rocket_wsgi import WebSocket
    from served import Served

Environ = dict[str, Any]
Start = Callable[..., Any]

THREADS = 8
ATTACKERS = 8
LARGE = 1024 * 1024
BODY = bytes(LARGE)
CALM = ErrorCode.ENHANCE_YOUR_CALM
MEMORY = 16 * 1024 * 1024
"""The bytes that the server and the clients of a test may take during an attack, in addition to
what applications have made."""
INITIAL_WINDOW = 4
IMPATIENT = Timeouts(grace=0.3, minimum_rate=100_000, linger=0.3)
WIDE = settings((INITIAL_WINDOW, 0x7FFFFFFF)) + window_update(0x7FFFFFFF - 65_535)
"""Windows that no response exceeds."""


class Echo:
    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)


class Fort:
    """An application, some of whose requests wait for each other.

    Attributes:
        most: the largest number of requests that it has had at a time.
    """

    def __init__(self) -> None:
        self.together = threading.Barrier(THREADS)
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self._answer(environ, start)
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        body = b"quick"
        if "rocket.websocket" in environ:
            environ["rocket.websocket"].accept(Echo())
        if path == "/together":
            self.together.wait(PATIENCE)
        elif path == "/large":
            body = BODY
        elif path == "/events":
            stream = environ["rocket.events"].open()
            for _ in range(5):
                stream.send("x" * 8000)
            start("200 OK", [("Content-Type", "text/event-stream")])
            return []
        start("200 OK", [])
        if path == "/parts":
            return (bytes(16 * 1024) for _ in range(64))
        if path == "/upload":
            body = str(len(environ["wsgi.input"].read())).encode()
        return [body]


class Attacker:
    """A client that sends what it likes, and reads what is sent to it unless it is ``deaf``."""

    def __init__(self, served: Served, *, deaf: bool = False) -> None:
        self._socket = socket.socket()
        if deaf:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((served.address.host, served.address.port))
        self._socket.setblocking(False)
        self._deaf = deaf
        self._selector = selectors.DefaultSelector()
        self._received = bytearray()
        self.over = False

    def close(self) -> None:
        self._selector.close()
        self._socket.close()

    def send(self, pieces: Iterable[bytes]) -> None:
        """Send until the server has closed the connection, or all is sent."""
        buffer = bytearray()
        for piece in pieces:
            buffer += piece
            if len(buffer) >= 32_768:
                self._pump(buffer)
            if self.over:
                return
        self._pump(buffer)

    def _pump(self, buffer: bytearray) -> None:
        events = selectors.EVENT_WRITE | (0 if self._deaf else selectors.EVENT_READ)
        self._selector.register(self._socket, events)
        try:
            while buffer and not self.over:
                ready = self._selector.select(PATIENCE)
                assert ready, "the server neither reads nor closes the connection"
                if ready[0][1] & selectors.EVENT_WRITE:
                    try:
                        del buffer[: self._socket.send(buffer[:65_536])]
                    except OSError:
                        self.over = True
                if ready[0][1] & selectors.EVENT_READ:
                    self._receive()
        finally:
            self._selector.unregister(self._socket)

    def _receive(self) -> None:
        try:
            received = self._socket.recv(65_536)
        except OSError:
            received = b""
        self.over = self.over or not received
        self._received = (self._received + received)[-65_536:]

    def end(self) -> None:
        """Read until the server closes the connection."""
        self._selector.register(self._socket, selectors.EVENT_READ)
        while not self.over:
            assert self._selector.select(PATIENCE), "the server does not close the connection"
            self._receive()


@contextmanager
def attackers(served: Served, count: int = ATTACKERS, **options: Any) -> Iterator[list[Attacker]]:
    with ExitStack() as stack:
        clients = [Attacker(served, **options) for _ in range(count)]
        for each in clients:
            stack.callback(each.close)
        yield clients


@contextmanager
def bounded_memory(most: int = MEMORY) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most


def expect_free(served: Served) -> None:
    """Have all threads of the server at one moment: for HTTP/1.1, and for streams of HTTP/2."""
    clients = [served.open() for _ in range(THREADS)]
    for client in clients:
        client.send(b"GET /together HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [client.answer().status for client in clients] == [200] * THREADS
    for client in clients:
        client.close()
    with HTTP2Client(served.address) as neighbour:
        streams = [neighbour.begin("/together") for _ in range(THREADS)]
        assert [neighbour.answer(each).status for each in streams] == [200] * THREADS


def outcomes(served: Served) -> dict[str, int]:
    return served.server.statistics().outcomes.get("HTTP/2", {})


def closes(served: Served) -> int:
    """The connections that were closed because of what their clients have done."""
    reasons = served.server.statistics().closes
    return reasons.get("limit exceeded", 0) + reasons.get("protocol violated", 0)


def expect_nothing_held(served: Served) -> None:
    """Nothing of the attackers is left in the budgets that all clients share."""
    state = served.server._server_state

    def held() -> tuple[int, ...]:
        return (state.pushed.held, state.room.held, state.output.held, state.input.held)

    eventually(lambda: not any(held()), f"for what is held: {held()}")
    eventually(lambda: not served.server.statistics().stalled)


def expect_ended(served: Served) -> None:
    """The connections of all attackers are closed."""
    eventually(lambda: sum(served.server.statistics().closes.values()) == ATTACKERS)


def odd(count: int) -> Iterator[int]:
    return iter(range(1, 2 * count, 2))


# -- attacks that are ended by a limit -------------------------------------------------------------


def rapid_reset() -> Iterator[bytes]:
    for stream in odd(100_000 // ATTACKERS):
        yield headers(stream) + reset(stream)


def continuation_flood() -> Iterator[bytes]:
    yield headers(1, b"", flags=0)
    for _ in range(1000):
        yield continuation(1, b"\x82" * 8000, end=False)


def empty_continuation_flood() -> Iterator[bytes]:
    yield headers(1, b"", flags=0)
    for _ in range(10_000):
        yield continuation(1, b"", end=False)


def hpack_bombs() -> Iterator[bytes]:
    yield headers(1, GET + literal(b"a", b"b" * 4000, kind=0x40))
    for stream in range(3, 1000, 2):
        yield headers(stream, GET + indexed(62) * 16_000)


def refused_streams() -> Iterator[bytes]:
    for stream in odd(1000):
        yield post(stream)


def flood(kind: str) -> Callable[[], Iterator[bytes]]:
    def frames() -> Iterator[bytes]:
        yield post(1) + headers(3, block(("A", "b")))
        for _ in range(20_000):
            yield FLOODS[kind]

    return frames


def made_you_reset(kind: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (MADE[kind](stream) for stream in odd(5_000))


LIMITED = {
    "rapid reset": rapid_reset,
    **{f"MadeYouReset: {kind}": made_you_reset(kind) for kind in MADE},
    "CONTINUATION flood": continuation_flood,
    "flood of empty CONTINUATION": empty_continuation_flood,
    "HPACK bombs": hpack_bombs,
    "more streams than allowed": refused_streams,
    **{f"flood of {kind}": flood(kind) for kind in FLOODS},
}


OTHERWISE = {"MadeYouReset: PRIORITY of a wrong size": ErrorCode.FRAME_SIZE_ERROR.name}
"""Where the connection may end otherwise: for a refused stream, such a frame is an error of it."""


@pytest.mark.parametrize("kind", LIMITED)
@pytest.mark.parametrize("deaf", [False, True], ids=["it reads", "it does not"])
def test_an_attack_ends_by_its_limit(serve: Serve, kind: str, deaf: bool) -> None:
    application = Fort()
    served = serve(application, h2c=True, threads=THREADS)
    expect_free(served)
    before = served.server.statistics()
    with bounded_memory(), attackers(served, deaf=deaf) as clients:
        for client in clients:
            client.send([HELLO])
        for client in clients:
            client.send(LIMITED[kind]())
        expect_free(served)
        names = {CALM.name, OTHERWISE.get(kind, CALM.name)}
        eventually(
            lambda: sum(outcomes(served).get(name, 0) for name in names) == ATTACKERS,
            "for the attackers to be counted",
        )
    eventually(lambda: closes(served) == ATTACKERS, "for their connections to be closed")
    after = served.server.statistics()
    assert after.threads == before.threads  # nobody had to be replaced
    assert after.stalled == 0
    expect_nothing_held(served)


# -- attacks by waiting ----------------------------------------------------------------------------

PATHS = ["/large", "/parts"]


def closed_windows(path: str) -> bytes:
    """A hundred large responses, for which no window is open."""
    return settings((INITIAL_WINDOW, 0)) + requests(path)


def open_windows(path: str) -> bytes:
    return WIDE + requests(path)


def narrow_connection(path: str) -> bytes:
    """The windows of the streams are open, and that of the connection stays as it is."""
    return settings((INITIAL_WINDOW, 0x7FFFFFFF)) + requests(path)


def requests(path: str) -> bytes:
    head = b"\x82\x86\x01\x01h\x04" + bytes([len(path)]) + path.encode()
    return b"".join(headers(stream, head) for stream in odd(MAX_STREAMS))


def slow_uploads(path: str) -> bytes:
    """The beginnings of a hundred bodies."""
    head = b"\x83\x86\x01\x01h\x04" + bytes([len(path)]) + path.encode()
    return b"".join(
        headers(stream, head, end=False) + data(b"x" * 1000, stream) for stream in odd(MAX_STREAMS)
    )


WAITING = {
    "no window": closed_windows,
    "no window of the connection": narrow_connection,
    "never reads": open_windows,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", WAITING)
def test_a_client_that_takes_nothing_holds_no_thread(serve: Serve, kind: str, path: str) -> None:
    served = serve(Fort(), h2c=True, threads=THREADS, narrow=True)
    expect_free(served)
    deaf = kind == "never reads"
    with bounded_memory(200 << 20), attackers(served, deaf=deaf) as clients:
        for client in clients:
            client.send([HELLO, WAITING[kind](path)])
        for _ in range(3):
            expect_free(served)
        statistics = served.server.statistics()
        assert statistics.threads <= THREADS + 256 + 8
    expect_nothing_held(served)


def test_slow_uploads_hold_no_thread(serve: Serve) -> None:
    served = serve(Fort(), h2c=True, threads=THREADS)
    expect_free(served)
    before = served.server.statistics()
    with bounded_memory(), attackers(served) as clients:
        for client in clients:
            client.send([HELLO, slow_uploads("/upload")])
        expect_free(served)
        assert served.server.statistics().threads == before.threads
        assert served.server.statistics().requests == before.requests + 2 * THREADS
    expect_nothing_held(served)


def test_slow_streamed_uploads_hold_no_thread(serve: Serve) -> None:
    served = serve(Fort(), h2c=True, threads=THREADS, stream_bodies=True)
    expect_free(served)
    with bounded_memory(), attackers(served) as clients:
        for client in clients:
            client.send([HELLO, slow_uploads("/upload")])
        for _ in range(3):
            expect_free(served)
        assert served.server.statistics().threads <= THREADS + 256 + 8
    expect_nothing_held(served)


def test_responses_that_nobody_takes_cost_no_other_kind_its_connection(serve: Serve) -> None:
    """The memory for what websockets send is not that of responses, for which nobody is cut."""
    served = serve(Fort(), h2c=True, threads=THREADS, server={"max_output": 4 * LARGE})
    websocket = Peer(served.address)
    with attackers(served) as clients, websocket.client:
        for client in clients:
            client.send([HELLO, closed_windows("/large")])
        expect_free(served)
        assert served.server.statistics().held >= LARGE
        for _ in range(3):
            websocket.send("x" * 50_000)
            assert websocket.read() == "x" * 50_000


def test_what_waits_on_both_kinds_of_streams_is_given_back_once(serve: Serve) -> None:
    served = serve(Fort(), h2c=True)
    state = served.server._server_state
    with HTTP2Client(served.address, window=0) as client:
        for path in ("/events", "/large"):
            stream = client.begin(path)
            client.until(partial(getattr, client.answers[stream], "status"))
        eventually(lambda: state.output.held >= LARGE)
        assert state.pushed.held > 0
    eventually(lambda: not served.server.connections)
    eventually(lambda: (state.output.held, state.pushed.held) == (0, 0))


@pytest.mark.parametrize("path", PATHS)
def test_windows_of_one_byte_hold_no_thread_and_end_by_their_limit(serve: Serve, path: str) -> None:
    served = serve(Fort(), h2c=True, threads=THREADS)

    def drip() -> Iterator[bytes]:
        yield settings((INITIAL_WINDOW, 1)) + requests(path)
        for _ in range(30):
            yield b"".join(window_update(1, stream) for stream in odd(MAX_STREAMS))

    with attackers(served) as clients:
        for client in clients:
            client.send([HELLO])
        for client in clients:
            client.send(drip())
        expect_free(served)
        eventually(lambda: closes(served) == ATTACKERS)
    expect_nothing_held(served)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", WAITING)
def test_clients_that_take_nothing_end_by_the_minimum_rate(
    serve: Serve, kind: str, path: str
) -> None:
    served = serve(Fort(), h2c=True, threads=THREADS, narrow=True, timeouts=IMPATIENT)
    with attackers(served, deaf=kind == "never reads") as clients:
        for client in clients:
            client.send([HELLO, WAITING[kind](path)])
        expect_ended(served)
        reasons = served.server.statistics().closes
        assert set(reasons) <= {"limit exceeded", "response taken too slowly", "linger timed out"}
        expect_free(served)
    expect_nothing_held(served)


@pytest.mark.parametrize("streamed", [False, True])
def test_slow_uploads_end_by_the_minimum_rate(serve: Serve, streamed: bool) -> None:
    served = serve(
        Fort(),
        h2c=True,
        threads=THREADS,
        stream_bodies=streamed,
        timeouts=IMPATIENT,
    )
    with attackers(served) as clients:
        for client in clients:
            client.send([HELLO, slow_uploads("/upload")])
        expect_ended(served)
        assert set(served.server.statistics().closes) <= {"limit exceeded", "linger timed out"}
        expect_free(served)
    expect_nothing_held(served)


def large_uploads(size: int) -> bytes:
    """Parts of a hundred bodies, none of which is complete."""
    part = b"".join(data(bytes(min(16_000, size)), 0xFFFF) for _ in range(size // 16_000))
    beginnings = slow_uploads("/upload")
    return beginnings + b"".join(
        part.replace(b"\x00\x00\x00\xff\xff", b"\0" + stream.to_bytes(4, "big"))
        for stream in odd(MAX_STREAMS)
    )


def test_bodies_that_do_not_end_take_bounded_memory_and_files(serve: Serve) -> None:
    """A hundred streams take little more than one connection of HTTP/1.1."""
    served = serve(Fort(), h2c=True, threads=THREADS)
    state = served.server._server_state
    state.input = Budget(LARGE)
    state.disk = DiskBudget(files=50)
    before = descriptors()
    with bounded_memory(20 * LARGE), attackers(served, 4) as clients:
        for client in clients:
            client.send([HELLO, large_uploads(48_000)])
        expect_free(served)
        assert descriptors() <= before + 50 + 2 * 4 + THREADS  # and files, sockets of this process
        assert state.input.held <= LARGE
        with HTTP2Client(served.address) as neighbour:
            stream = neighbour.begin("/upload", "POST", end=False)
            neighbour.send(stream, bytes(2 * LARGE))
            assert neighbour.answer(stream).text == str(2 * LARGE)
    expect_nothing_held(served)
    eventually(lambda: descriptors() <= before + 5)


def test_files_beyond_the_descriptors_are_read_by_their_workers(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(BODY)
    served = serve(Fort(), h2c=True, threads=2, static={"/static": StaticFiles(tmp_path)})
    served.server._server_state.disk = DiskBudget(files=3)
    before = descriptors()
    with HTTP2Client(served.address, window=0) as client:
        streams = [client.begin("/static/large") for _ in range(20)]
        client.until(lambda: all(client.answers[each].status for each in streams))
        with HTTP2Client(served.address) as neighbour:
            assert neighbour.get().text == "quick"
        eventually(lambda: served.server.statistics().stalled == 17)  # not at once after the head
        for each in streams:
            client.h2.increment_flow_control_window(LARGE, each)
        client.flush()
        assert all(client.answer(each).body == BODY for each in streams)
    eventually(lambda: descriptors() <= before + 3)
    assert [served.server._server_state.disk.lend_file() for _ in range(4)] == [True] * 3 + [False]

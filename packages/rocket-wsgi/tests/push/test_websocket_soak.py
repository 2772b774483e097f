"""Crowds of websockets come and go in every way, and leave nothing behind."""

from __future__ import annotations

import gc
import os
import random
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection as Reference
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate

from rocket_core.testing import Client, descriptors, eventually
from rocket_wsgi import Group
from rocket_wsgi._websocket.deflate import AGREED
from views import Views, get
from websocket_peer import (
    BINARY,
    DEFLATE,
    FIN,
    RSV1,
    TEXT,
    Notes,
    Peer,
    WebSocketServer,
    deflated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse

    from conftest import Serve
    from rocket_core import Server
    from rocket_wsgi import WebSocket


@pytest.fixture
def views() -> Views:
    return Views()


ROUNDS = int(os.environ.get("ROCKET_SOAK_ROUNDS", "5"))
CLIENTS = 12


class Crowd:
    """Answers, sends to all, fails and closes as the messages say; counts opens and closes."""

    def __init__(self) -> None:
        self.group = Group()
        self.lock = threading.Lock()
        self.open = 0
        self.opened = 0

    def wait(self, count: int) -> None:
        """Wait until so many have come, and all have gone."""
        eventually(lambda: self.opened == count and not self.open)

    def on_open(self, ws: WebSocket) -> None:
        with self.lock:
            self.open += 1
            self.opened += 1
        self.group.add(ws)

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        if data == "all":
            self.group.send("to all")
        elif data == "fail":
            raise LookupError("as the client wished")
        elif data == "close":
            ws.close()
        else:
            ws.send(data)

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        with self.lock:
            self.open -= 1
        assert ws.closed


def talk(peer: Peer, chance: random.Random) -> None:
    for _ in range(chance.randrange(1, 5)):
        peer.send(chance.choice(["hello", "all", "x" * 5000]))
        peer.read_frame()
    peer.send_close(1000)
    while peer.read_frame() is not None:
        pass


def leave(peer: Peer, chance: random.Random) -> None:
    peer.send(chance.choice(["hello", "all"]))
    chance.choice([peer.client.close, peer.client.reset, peer.client.half_close])()


def half_message(peer: Peer, chance: random.Random) -> None:
    peer.send_frame(chance.choice([BINARY, TEXT]), b"begun" * chance.randrange(10_000))
    leave(peer, chance)


def misfortune(peer: Peer, chance: random.Random) -> None:
    peer.send(chance.choice(["fail", "close"]))
    peer.client.read_all()


def err(peer: Peer, chance: random.Random) -> None:
    peer.client.send(chance.choice([b"\xff\xff\xff", b"\x81\x01a", b"GET / HTTP/1.1\r\n\r\n"]))
    peer.client.read_all()


def read_nothing(peer: Peer, chance: random.Random) -> None:
    for _ in range(chance.randrange(20)):
        peer.send(bytes(20_000))
    leave(peer, chance)


WAYS: list[Callable[[Peer, random.Random], None]] = [
    talk,
    leave,
    half_message,
    misfortune,
    err,
    read_nothing,
]


def test_soak_of_websockets() -> None:
    crowd = Crowd()
    with WebSocketServer(crowd, threads=4) as server:
        state = server.running._server_state
        threads = threading.active_count()
        files = 0
        for number in range(ROUNDS):

            def live(seed: int) -> None:
                chance = random.Random(seed)
                peer = Peer(server.address, *chance.choice([(), (DEFLATE,)]), receive_buffer=20_000)
                with peer.client, suppress(OSError):
                    chance.choice(WAYS)(peer, chance)

            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(live, range(number * CLIENTS, (number + 1) * CLIENTS)))
            crowd.wait((number + 1) * CLIENTS)
            eventually(lambda: not server.running.statistics().connections)
            assert len(crowd.group) == 0
            assert state.pushed.held == 0
            assert state.room.held == 0
            assert not state.pushing
            assert threading.active_count() == threads
            files = files or descriptors()
            assert descriptors() == files


OWN = [
    tracemalloc.Filter(inclusive=True, filename_pattern=f"*{os.sep}rocket_core{os.sep}_*"),
    tracemalloc.Filter(inclusive=True, filename_pattern=f"*{os.sep}rocket_wsgi{os.sep}_*"),
]
"""What the server has allocated, and not the clients."""


def kept(running: Server, open_one: Callable[[], object]) -> float:
    """Return the bytes that the server keeps for each connection that ``open_one`` makes."""
    count = 50
    before = sum(running.statistics().connections.values())
    gc.collect()
    tracemalloc.start()
    try:
        clients = [open_one() for _ in range(count)]
        eventually(lambda: sum(running.statistics().connections.values()) == before + count)
        gc.collect()
        snapshot = tracemalloc.take_snapshot().filter_traces(OWN)
    finally:
        tracemalloc.stop()
    assert len(clients) == count
    return sum(trace.size for trace in snapshot.traces) / count


def test_silent_websocket_takes_at_most_4_kib_beyond_its_connection(notes: Notes) -> None:
    with WebSocketServer(notes) as server, ExitStack() as stack:

        def open_websocket() -> Peer:
            peer = server.open()
            notes.opened()
            peer.send("hello")
            assert notes.next() == ("message", "hello")
            notes.sockets.clear()
            return peer

        def open_connection() -> Client:
            client = stack.enter_context(Client(server.address))
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.answer().status == 404
            return client

        open_websocket()
        open_connection()
        connection = kept(server.running, open_connection)
        head = 300  # bytes of the request of the websocket
        assert kept(server.running, open_websocket) < connection + head + 4096


def test_silent_websocket_holds_no_state_of_compression(notes: Notes) -> None:
    """Which would be 40 KiB at least, for either direction."""
    notes.act = lambda ws, data: ws.send(data)
    with WebSocketServer(notes) as server:

        def open_websocket() -> Peer:
            peer = server.open(DEFLATE)
            notes.opened()
            peer.send_frame(FIN | RSV1 | TEXT, deflated(b"hello" * 100))
            assert notes.next() == ("message", "hello" * 100)
            frame = peer.read_frame()
            assert frame is not None
            assert frame[0] == FIN | RSV1 | TEXT
            notes.sockets.clear()
            return peer

        open_websocket()
        assert kept(server.running, open_websocket) < 20_000


def test_silent_event_stream_takes_at_most_4_kib_beyond_its_connection(
    serve: Serve, views: Views
) -> None:
    group = Group(history=10)

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        response = feed(environ, start_response)
        if environ["PATH_INFO"] == "/":
            group.add(views.stream())
        return response

    feed = views.feed()
    served = serve(application)

    def open_stream() -> Client:
        client = served.open()
        client.send(get())
        assert client.head().status == 200
        assert group.send("hello") == len(group)
        assert client.chunk()
        return client

    def open_connection() -> Client:
        client = served.open()
        client.send(get("/other"))
        assert client.answer().status == 200
        return client

    open_stream()
    open_connection()
    connection = kept(served.server, open_connection)
    head = 300  # bytes of the request of the stream
    assert kept(served.server, open_stream) < connection + head + 4096


@pytest.mark.parametrize("compress", [False, True])
def test_reference_implementation_understands_all(*, compress: bool) -> None:
    """Both sides of wsproto: it checks what the server sends as strictly as a client can."""

    class Echo:
        def on_message(self, ws: WebSocket, data: str | bytes) -> None:
            ws.send(data)

    chance = random.Random(int(compress))
    with WebSocketServer(Echo()) as server:
        peer = server.open(*((DEFLATE,) if compress else ()))
        extensions: list[Extension] = []
        if compress:
            deflate = PerMessageDeflate()
            deflate.finalize(AGREED)
            extensions.append(deflate)
        reference = Reference(ConnectionType.CLIENT, extensions)
        for _ in range(60):
            size = chance.randrange(90_000)
            data: str | bytes = bytes(size) if size & 1 else "ä" * (size // 100)
            send_by(reference, peer, data, chance)
            assert receive_by(reference, peer) == data
        peer.client.send(reference.send(CloseConnection(code=1000, reason="enough")))
        assert receive_by(reference, peer) is None


def send_by(reference: Reference, peer: Peer, data: str | bytes, chance: random.Random) -> None:
    """Send a message in some fragments, with pings in between."""
    middle = chance.randrange(len(data) + 1)
    for part, last in ((data[:middle], False), (data[middle:], True)):
        event = (
            TextMessage(data=part, message_finished=last)
            if isinstance(part, str)
            else BytesMessage(data=part, message_finished=last)
        )
        peer.client.send(reference.send(event))
        if not last:
            peer.client.send(reference.send(Ping(payload=b"between")))


def receive_by(reference: Reference, peer: Peer) -> str | bytes | None:
    """Receive a message; None for the close."""
    parts: list[str | bytes] = []
    while True:
        reference.receive_data(peer.client.socket.recv(65536))
        for event in reference.events():
            if isinstance(event, CloseConnection):
                return None
            if isinstance(event, (TextMessage, BytesMessage)):
                parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    return parts[0][:0].join(parts)  # type: ignore[arg-type]
            else:
                assert isinstance(event, Pong)
                assert event.payload == b"between"

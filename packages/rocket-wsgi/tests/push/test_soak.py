"""Crowds of all kinds of clients come and go, and leave nothing behind.

They are websockets, event streams and deferred answers, clients of HTTP/2 with many streams, and
websockets on such streams, beside the rest.

The variable ROCKET_SOAK_ROUNDS has them do so more often: see CONTRIBUTING.md.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from h2.exceptions import ProtocolError

from http2_client import HTTP2Client
from rocket_core import Server, TCPAddress, Timeouts
from rocket_core.testing import NARROW, PATIENCE, Client, NarrowListener, descriptors, eventually
from rocket_wsgi import Group, WSGIWorker
from rocket_wsgi._http2.frames import PING as PING_FRAME
from rocket_wsgi._http2.frames import frame
from stream_client import StreamClient
from views import EVENTS, get, plain
from websocket_peer import BINARY, CLOSE, CONTINUATION, DEFLATE, FIN, PING, TEXT, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pytest

    from rocket_wsgi import DeferredAnswer, WebSocket

ROUNDS = int(os.environ.get("ROCKET_SOAK_ROUNDS", "6"))
CLIENTS = 16
LARGE = 300_000
DRAIN_EVERY = 5
"""In one of so many rounds the server drains while the clients are there, and starts again."""


class Crowd:
    """An application that does what paths and messages say.

    Attributes:
        requests: how many requests were served, by protocol and by what they asked for.
        begun: how often something was begun, by its kind and protocol.
        ended: how often ``on_close`` was called.
        alive: what was begun and something still refers to.
        waiting: the deferred answers that are to be given.
    """

    def __init__(self) -> None:
        self.sockets = Group()
        self.streams = Group(history=20)
        self.waiting: list[DeferredAnswer] = []
        self.alive: WeakSet[Any] = WeakSet()
        self._lock = threading.Lock()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.begun: Counter[tuple[str, str]] = Counter()
        self.ended = 0
        self._around = 0
        self._events = 0

    @contextmanager
    def around(self) -> Iterator[None]:
        """Fail now and then, as a connection to a database does."""
        with self._lock:
            self._around += 1
            fails = self._around % 97 == 0
        yield
        if fails:
            raise LookupError("the end of a callback failed")

    def count(self, kind: str, protocol: str, begun: Any) -> None:
        with self._lock:
            self.begun[kind, protocol] += 1
            self.alive.add(begun)

    def gone(self, begun: Any) -> None:
        with self._lock:
            self.ended += 1
            if begun in self.waiting:
                self.waiting.remove(begun)

    def broadcast(self, chance: random.Random) -> None:
        """Send to all that are there, and answer some."""
        with self._lock:
            self._events += 1
            number = self._events
            some = self.waiting[: chance.randrange(3)]
        self.sockets.send("news" if chance.random() < 0.5 else bytes(30_000))
        self.streams.send("x" * chance.choice([10, 30_000]), id=number)
        for later in some:
            later.answer("200 OK", [], b"news")

    # -- views -----------------------------------------------------------------------------------

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        what, _, how = environ["PATH_INFO"].strip("/").partition("/")
        protocol = environ["SERVER_PROTOCOL"]
        with self._lock:
            self.requests[protocol, what] += 1
        if what in {"large", "parts", "upload"}:
            return self._answer(what, environ, start_response)
        offer = environ.get("rocket.websocket")
        if what == "plain" or (what == "socket" and offer is None):
            return plain(environ, start_response)
        if offer is not None:
            self.count("websocket", protocol, self)  # the websocket itself is not there yet
            offer.accept(
                self, slow=random.choice(["close", "drop"]), max_message=100_000, read_ahead=4
            )
        elif what == "stream":
            stream = environ["rocket.events"].open(retry=0.5, ping=0.5, on_close=self.gone)
            self.count("event stream", protocol, stream)
            self.streams.add(stream, since=environ.get("HTTP_LAST_EVENT_ID"))
            if how == "close":
                stream.close()
            del stream
        else:
            later = environ["rocket.deferred"].hold(
                timeout=0.05 if how == "short" else PATIENCE, on_close=self.gone
            )
            self.count("deferred answer", protocol, later)
            if how == "early":
                later.answer("200 OK", [], b"at once")
            else:
                with self._lock:
                    self.waiting.append(later)
            del later
        if how == "raise":
            raise LookupError("as the client wished")
        start_response("403 Forbidden" if how == "refuse" else "200 OK", list(EVENTS))
        return [b": hello\n\n"]

    def _answer(
        self, what: str, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer with a large body, in one part or in many, or to one."""
        body = environ["wsgi.input"].read() if what == "upload" else bytes(LARGE)
        start_response("200 OK", [])
        if what == "parts":
            return (body[:30_000] for _ in range(10))
        return [body]

    # -- websockets ------------------------------------------------------------------------------

    def on_open(self, ws: WebSocket) -> None:
        self.alive.add(ws)
        self.sockets.add(ws)

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        if data == "fail":
            raise LookupError("as the client wished")
        if data == "close":
            ws.close()
        elif data == "all":
            self.sockets.send("to all")
        else:
            ws.send(data)

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        del code, reason
        assert ws.closed
        self.gone(ws)


# -- clients ---------------------------------------------------------------------------------------


class Diary:
    """What the guests did.

    Attributes:
        done: how often each way was gone to its end, by kind and name.
        ended: how often it ended before that, with the exception.
    """

    def __init__(self) -> None:
        self.done: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()

    def note(self, kind: str, way: str, error: Exception | None) -> None:
        with self._lock:
            if error is None:
                self.done[kind, way] += 1
            else:
                self.ended[kind, way, f"{type(error).__name__}: {error}"[:70]] += 1

    def __str__(self) -> str:
        lines = [f"{kind}: {way}: {count} done" for (kind, way), count in self.done.items()]
        lines += [
            f"{kind}: {way}: {count} ended by {error}"
            for (kind, way, error), count in self.ended.items()
        ]
        return "\n".join(sorted(lines))


class Guest:
    """One client, in a thread of its own."""

    def __init__(self, address: TCPAddress, seed: int, diary: Diary) -> None:
        self.address = address
        self.chance = random.Random(seed)
        self.diary = diary
        self.ways: dict[str, list[Callable[[], None]]] = {
            "websocket": [self.talk, self.fragments, self.misfortune, self.err, self.deaf],
            "event stream": [self.listen, self.stall, self.end, self.refused],
            "deferred answer": [self.poll, self.pipeline, self.leave_at_once],
            "HTTP/2": [
                self.many,
                self.upload,
                self.abandon,
                self.take_back,
                self.take_nothing,
                self.violate,
                self.wait_for_all,
            ],
            "websocket on a stream": [
                self.talk_on_streams,
                self.end_on_streams,
                self.reset_on_streams,
                self.deaf_on_streams,
                self.err_on_streams,
            ],
        }

    def live(self) -> None:
        """Do one thing of all. A server that drains, or cuts, may end it at any time."""
        kind = self.chance.choice([*self.ways])
        way = self.chance.choice(self.ways[kind])
        try:
            way()
        except (OSError, ValueError, AssertionError, ProtocolError) as error:
            self.diary.note(kind, way.__name__, error)
        else:
            self.diary.note(kind, way.__name__, None)

    def leave(self, client: Client) -> None:
        self.chance.choice([client.close, client.reset, client.half_close])()

    @contextmanager
    def client(self, **options: Any) -> Iterator[Client]:
        with Client(self.address, **options) as client:
            yield client

    @contextmanager
    def websocket(self) -> Iterator[Peer]:
        fields = self.chance.choice([(), (DEFLATE,)])
        peer = Peer(self.address, *fields, path="/socket", receive_buffer=NARROW)
        with peer.client:
            yield peer

    def talk(self) -> None:
        with self.websocket() as peer:
            for _ in range(self.chance.randrange(1, 5)):
                peer.send(self.chance.choice(["hello", "all", "x" * 5000]))
                peer.read_frame()
            peer.send_close(self.chance.choice([None, 1000, 4000]))
            while peer.read_frame() is not None:
                pass

    def fragments(self) -> None:
        with self.websocket() as peer:
            first = self.chance.choice([TEXT, BINARY])
            for _ in range(self.chance.randrange(4)):
                peer.send_frame(first, b"part" * self.chance.randrange(5000))
                peer.send_frame(FIN | PING, b"between")
                first = CONTINUATION
            if self.chance.random() < 0.5:
                peer.send_frame(FIN | first, b"last")
                while (frame := peer.read_frame()) is not None and frame[0] != FIN | CLOSE:
                    peer.send_close(1000)
            self.leave(peer.client)

    def misfortune(self) -> None:
        with self.websocket() as peer:
            peer.send(self.chance.choice(["fail", "close"]))
            peer.client.read_all()

    def err(self) -> None:
        with self.websocket() as peer:
            broken = [b"\xff\xff\xff", b"\x81\x01a", b"GET / HTTP/1.1\r\n\r\n"]
            peer.client.send(self.chance.choice(broken))
            peer.client.read_all()

    def deaf(self) -> None:
        with self.websocket() as peer:
            for _ in range(self.chance.randrange(20)):
                peer.send(bytes(20_000))
            self.leave(peer.client)

    def listen(self) -> None:
        with self.client() as client:
            last = [f"Last-Event-ID: {self.chance.randrange(100)}"]
            version = self.chance.choice(["1.1", "1.0"])
            client.send(get("/stream", *self.chance.choice([[], last]), version=version))
            client.head()
            client.read(self.chance.randrange(100_000))
            self.leave(client)

    def end(self) -> None:
        with self.client() as client:
            client.send(get("/stream/close") + get("/plain"))
            client.answer()
            client.answer()

    def stall(self) -> None:
        with self.client(receive_buffer=NARROW) as client:
            client.send(get("/stream") + get("/plain"))
            client.head()
            time.sleep(self.chance.random() / 2)  # perhaps until it is cut
            self.leave(client)

    def refused(self) -> None:
        with self.client() as client:
            what = self.chance.choice(["/stream", "/poll"])
            client.send(get(f"{what}/{self.chance.choice(['refuse', 'raise'])}") + get("/plain"))
            client.answer()
            client.answer()

    def poll(self) -> None:
        with self.client() as client:
            for how in self.chance.choices(["", "/short", "/early"], k=3):
                client.send(get(f"/poll{how}"))
                client.answer()

    def pipeline(self) -> None:
        with self.client() as client:
            client.send(get("/poll") + get("/poll/short") + get("/plain") + get("/stream/close"))
            for _ in range(3):
                client.answer()
            self.leave(client)

    def leave_at_once(self) -> None:
        with self.client() as client:
            client.send(get(self.chance.choice(["/plain", "/stream", "/poll"])))
            self.leave(client)

    # -- streams of HTTP/2 -----------------------------------------------------------------------

    def many(self) -> None:
        with HTTP2Client(self.address) as client:
            paths = self.chance.choices(["/plain", "/large", "/parts"], k=self.chance.randrange(30))
            priorities = [("priority", f"u={self.chance.randrange(8)}, i")]
            streams = [client.begin(path, fields=priorities) for path in paths]
            assert all(client.answer(each).status == 200 for each in streams)

    def upload(self) -> None:
        with HTTP2Client(self.address, window=50_000) as client:
            size = self.chance.choice([10, 100_000, 2_000_000])
            streams = [client.begin("/upload", "POST", end=False) for _ in range(3)]
            for each in streams:
                client.send(each, bytes(size))
            assert [len(client.answer(each).body) for each in streams] == [size] * 3

    def abandon(self) -> None:
        with HTTP2Client(self.address) as client:
            for _ in range(self.chance.randrange(1, 50)):
                stream = client.begin("/upload", "POST", end=False)
                client.send(stream, bytes(self.chance.choice([1, 5000])), end=False)
            # After a GOAWAY this is not served, and what was begun keeps the connection open.
            last = client.begin("/plain")
            client.until(lambda: client.answers[last].ended or client.goaways)

    def take_back(self) -> None:
        with HTTP2Client(self.address) as client:
            streams = [
                client.begin(self.chance.choice(["/plain", "/large", "/parts", "/poll"]))
                for _ in range(50)
            ]
            for each in self.chance.sample(streams, 40):
                client.reset(each)
            assert client.get("/plain").status == 200

    def take_nothing(self) -> None:
        with HTTP2Client(
            self.address,
            window=self.chance.choice([0, 1, 70_000]),
            gives_credit=False,
            receive_buffer=NARROW,
        ) as client:
            for _ in range(self.chance.randrange(1, 40)):
                client.begin(self.chance.choice(["/large", "/parts"]))
            client.receive()
            time.sleep(self.chance.random() / 2)

    def violate(self) -> None:
        with HTTP2Client(self.address) as client:
            client.begin("/large")
            broken = [b"\xff" * 30, bytes(9), frame(PING_FRAME, 0, 0, bytes(8)) * 2000]
            client.send_raw(self.chance.choice(broken))
            for _ in client.frames():
                pass

    def wait_for_all(self) -> None:
        """Begin what is pushed on streams beside other requests."""
        with HTTP2Client(self.address) as client:
            streams = [client.begin(path) for path in ("/stream", "/poll", "/stream/close")]
            for path in ("/poll/short", "/poll/early", "/plain", "/stream/refuse", "/poll/raise"):
                client.get(path)
            client.answer(streams[2])
            if not client.answers[streams[1]].ended:
                client.reset(streams[1])
            client.get("/plain")

    # -- websockets on streams of HTTP/2 ----------------------------------------------------------

    def sockets(self, client: HTTP2Client, count: int) -> list[Peer]:
        """Open ``count`` websockets on one connection."""
        fields = self.chance.choice([(), (DEFLATE,)])
        return [
            Peer(
                self.address,
                *fields,
                path="/socket",
                client=StreamClient(  # type: ignore[arg-type] # which has what a peer uses
                    self.address, http2=client
                ),
            )
            for _ in range(count)
        ]

    def talk_on_streams(self) -> None:
        """Talk on some, and end them, while requests of all kinds are answered beside them."""
        with HTTP2Client(self.address, receive_buffer=NARROW) as client:
            begun = [client.begin(path) for path in ("/stream", "/poll")]
            paths = ["/plain", "/large", "/parts", "/poll/short", "/poll/early", "/stream/close"]
            peers = self.sockets(client, 3)
            answered = []
            for peer in self.chance.choices(peers, k=6):
                answered.append(client.begin(self.chance.choice(paths)))
                peer.send_frame(FIN | PING, b"between")
                peer.send(self.chance.choice(["hello", "all", "x" * 5000]))
                peer.read_frame()
            upload = client.begin("/upload", "POST", end=False)
            for peer in peers:
                client.send(upload, bytes(50_000), end=peer is peers[-1])
                peer.send_close(self.chance.choice([None, 1000, 4000]))
                while peer.read_frame() is not None:
                    pass
                peer.client.closed_by_server()
            assert {client.answer(each).status for each in answered} <= {200, 204}
            assert len(client.answer(upload).body) == 150_000
            for each in begun:
                if not client.answers[each].ended and client.answers[each].reset is None:
                    client.reset(each)
            assert client.get("/plain").status == 200

    def end_on_streams(self) -> None:
        """Have the application close some of them, or fail."""
        with HTTP2Client(self.address) as client:
            for peer in self.sockets(client, 4):
                peer.send(self.chance.choice(["fail", "close"]))
                if self.chance.random() < 0.7:  # and leave others as they are
                    while (frame := peer.read_frame()) is not None and frame[0] != FIN | CLOSE:
                        pass
                    peer.send_close(1000)
                    peer.client.closed_by_server()
            assert client.get("/plain").status == 200

    def reset_on_streams(self) -> None:
        """Reset some in the midst of a message, or before they are open; or leave."""
        with HTTP2Client(self.address) as client:
            peers = self.sockets(client, 6)
            for peer in peers:
                first = self.chance.choice([TEXT, BINARY])
                peer.send_frame(first, b"part" * self.chance.randrange(5000))
                peer.send_frame(FIN | PING, b"between")
                peer.client.leave()  # type: ignore[attr-defined] # of a stream
            client.until(lambda: client.h2.remote_settings.enable_connect_protocol)
            version = [("sec-websocket-version", "13")]
            for _ in range(6):
                each = client.begin("/socket", "CONNECT", version, end=False, protocol="websocket")
                client.reset(each)
            self.sockets(client, 2)  # which end with the connection
            if self.chance.random() < 0.5:
                assert client.get("/plain").status == 200

    def deaf_on_streams(self) -> None:
        """Take no message, while other streams of the connection are answered."""
        with HTTP2Client(self.address, gives_credit=False, receive_buffer=NARROW) as client:
            peers = self.sockets(client, 3)
            for peer in peers:
                for _ in range(self.chance.randrange(12)):  # less than the windows of the server
                    peer.send(bytes(20_000))
            client.h2.increment_flow_control_window(100_000)  # of the connection
            client.flush()
            client.begin("/poll/short")
            client.begin("/plain")
            client.receive()
            time.sleep(self.chance.random() / 2)  # perhaps until they are cut

    def err_on_streams(self) -> None:
        """Violate the protocol of websockets on one, which is no matter of the others."""
        with HTTP2Client(self.address) as client:
            wrong, right = self.sockets(client, 2)
            wrong.client.send(self.chance.choice([b"\xff\xff\xff", b"\x81\x01a", b"GET / HTTP"]))
            wrong.client.read_all()
            right.send("hello")
            right.read_frame()
            right.send_close(1000)
            while right.read_frame() is not None:
                pass
            right.client.closed_by_server()


# -- the test --------------------------------------------------------------------------------------


def test_crowds_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")  # else tracebacks are kept, and in them what views have begun
    crowd = Crowd()
    server = Server(
        lambda: WSGIWorker(crowd, around=crowd.around, h2c=True),
        [NarrowListener("127.0.0.1:0")],
        min_threads=4,
        max_threads=4,
        max_output=4 << 20,
        timeouts=Timeouts(stall=2.0),
    )
    diary = Diary()
    idle = thread_names()
    threads = files = 0
    for number in range(ROUNDS):
        if not number or not (number % DRAIN_EVERY):
            server.start()
        play(server, diary, crowd, number, drains=number % DRAIN_EVERY == DRAIN_EVERY - 1)
        drained = number % DRAIN_EVERY == DRAIN_EVERY - 1
        if drained:
            assert server.wait(PATIENCE)
            assert thread_names() == idle
        expect_nothing(server, crowd, f"in round {number}")
        if not drained:
            # Threads that have taken the places of others sleep in the pool for a while.
            others = threading.active_count() - server.statistics().threads
            threads = threads or others
            files = files or descriptors()
            assert (others, descriptors()) == (threads, files), number
    server.stop()
    assert server.wait(PATIENCE)
    expect_nothing(server, crowd, "after the stop")
    assert thread_names() == idle
    sys.stdout.write(f"{diary}\n{crowd.begun}\n{crowd.requests}\n")  # for `pytest -rP`
    expect_all_kinds(diary, crowd)


def thread_names() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


def expect_all_kinds(diary: Diary, crowd: Crowd) -> None:
    """Each kind of client was there, and some of each came to the end of what they wanted."""
    kinds = [*Guest(TCPAddress("", 0), 0, diary).ways]
    done = Counter(kind for kind, _ in diary.done.elements())
    assert min(done[kind] for kind in kinds) > 0, diary
    begun = {*crowd.begun}
    assert {kind for kind, _ in begun} == {*kinds[:3]}, crowd.begun
    assert {kind for kind, protocol in begun if protocol == "HTTP/2"} == {*kinds[:3]}, crowd.begun
    served = {what for protocol, what in crowd.requests if protocol == "HTTP/2"}
    assert served >= {"plain", "large", "parts", "upload", "stream", "poll"}, crowd.requests


def play(server: Server, diary: Diary, crowd: Crowd, number: int, *, drains: bool) -> None:
    """Have a crowd come, and go; ``drains``: the server drains meanwhile."""
    address = server.listeners[0].address
    assert isinstance(address, TCPAddress)
    over = threading.Event()

    def broadcast() -> None:
        chance = random.Random(-number)
        while not over.wait(0.005):
            crowd.broadcast(chance)

    speaker = threading.Thread(target=broadcast)
    speaker.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        guests = [Guest(address, number * CLIENTS + each, diary) for each in range(CLIENTS)]
        futures = [pool.submit(guest.live) for guest in guests]
        if drains:
            server.drain(PATIENCE)
        for future in futures:
            future.result()
    over.set()
    speaker.join()


def expect_nothing(server: Server, crowd: Crowd, when: str) -> None:
    """Wait until nothing is left of a crowd that has gone."""
    state = server._server_state
    eventually(lambda: not server.connections, f"for connections to end {when}")
    eventually(lambda: not server._registry.leaving, f"for protocols to be told {when}")
    eventually(lambda: crowd.ended == crowd.begun.total(), f"for on_close {when}")
    assert len(crowd.sockets) == len(crowd.streams) == len(crowd.waiting) == 0, when
    held = (state.pushed.held, state.room.held, state.output.held, state.input.held)
    assert held == (0, 0, 0, 0), when
    assert not state.disk.held, when
    assert not state.pushing, when
    assert not server._pool.turns, when
    crowd.alive.discard(crowd)
    eventually(lambda: (gc.collect(), not crowd.alive)[1], f"for objects {when}: {[*crowd.alive]}")

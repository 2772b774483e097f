"""What is counted: a few ways of a request through Rocket, and what they are compared with.

Each is run on one thread, with clients that act whenever it polls.
"""

from __future__ import annotations

import re
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

from bench.applications import bare_loop, pages, wsgi_loop
from bench.applications.core_worker import Fixed
from bench.budget.client import CONNECTIONS, SECTION, TOTAL, Clients, Load, OverError, pairs
from bench.budget.streams import OPENING, batches, is_good
from rocket_core import Connection, Listener, Peer, Server, Timeouts, Worker
from rocket_core._system.poller import EpollPoller
from rocket_wsgi import WSGIWorker

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

Run = Callable[[], None]

_AGENT: Final = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"
_FIELDS: Final = (
    "Host: www.example.org",
    _AGENT,
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br",
)


def _requests(line: str, *fields: str, body: str = "") -> list[bytes]:
    """As many requests as are sent; each has its number where # stands."""
    text = "\r\n".join([f"{line} HTTP/1.1", *_FIELDS, *fields, "", body])
    return [text.replace("#", str(1_000_000 + number)).encode() for number in range(TOTAL)]


_SAME: Final = _requests("GET /", "Connection: keep-alive")
_VARIED: Final = [
    request.replace(_AGENT.encode(), b"%s Firefox/%d" % (_AGENT.encode(), number))
    for number, request in enumerate(
        _requests(
            "GET /items/#?page=#&order=price",
            "Cookie: session=#; theme=dark",
            "X-Request-Start: t=#",
            "Connection: keep-alive",
        ),
        1_000_000,
    )
]
_POSTED: Final = _requests("POST /", "Content-Length: 1024", body="x" * 1024)
_LAST: Final = _requests("GET /", "Connection: close")

_ANSWER: Final = b"HTTP/1.1 200 OK".ljust(150)
_STREAM_ANSWER: Final = (b"\0\0\0\1\4\0\0\0\1\x88").ljust(88)
"""What clients alone get, of the size of an answer."""


_STREAM_FIELDS: Final = [
    (name.lower().replace("host", ":authority"), value)
    for name, value in (field.split(": ") for field in _FIELDS)
]


def _streams(together: int, *, varied: bool = False) -> Load:
    """Clients with some requests at a time."""
    connections = min(CONNECTIONS, SECTION // together)
    requests = batches(
        _STREAM_FIELDS,
        connections=connections,
        together=together,
        total=TOTAL,
        path="/items/{0}?page={0}&order=price".format if varied else None,
    )
    return Load(
        requests,
        connections=connections,
        together=together,
        opening=OPENING,
        good=is_good,
    )


_TOGETHER: Final = (1, 10, 40)
"""Streams at a time."""

_STREAMS: Final = {together: _streams(together) for together in _TOGETHER}
_VARIED_STREAMS: Final = {together: _streams(together, varied=True) for together in (1, 10)}


# -- with nobody, or next to nobody, to serve them -------------------------------------------------


def _clients_alone(load: Load, answer: bytes) -> None:
    """The clients, with answers that were there before."""
    servers: list[socket.socket] = []

    def answer_all(server: socket.socket) -> None:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        server.setblocking(False)
        for _ in range(TOTAL // load.connections // load.together):
            server.send(answer)
        servers.append(server)

    clients = Clients(replace(load, opening=b""), pairs(answer_all), size=len(answer))
    with suppress(OverError):
        while True:
            clients.act()
    for server in servers:
        server.close()


def _loop(loop: bare_loop.Loop | wsgi_loop.Loop) -> None:
    """One of the loops that are floors."""
    clients = Clients(Load(_SAME), pairs(loop.add))
    poll = loop.poll

    def act_and_poll() -> list[tuple[int, int]]:
        clients.act()
        return poll()

    loop.poll = act_and_poll
    with suppress(OverError):
        loop.run()


# -- Rocket ----------------------------------------------------------------------------------------


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


_LOCAL: Final = Peer("127.0.0.1", 8000)
_PEER: Final = Peer("127.0.0.1", 50_000)
"""What the server takes its clients for: those of TCP are what counts."""


class _Unstarted(threading.Thread):
    """A thread that is not started: the caller of `run` does what it would do."""

    made: Final[list[threading.Thread]] = []
    first: Final = threading.Event()

    def start(self) -> None:
        self.made.append(self)
        self.first.set()


def _start(server: Server) -> list[threading.Thread]:
    """Start a server, but none of its threads, which are returned.

    What the Monitor's thread is ordered to do meanwhile is done here.
    """
    _Unstarted.made.clear()
    _Unstarted.first.clear()
    starting = threading.Thread(target=server.start)
    with _replaced(threading, "Thread", _Unstarted):
        starting.start()
        _Unstarted.first.wait()
        while starting.is_alive():
            order = server._mailbox.take(0.01)
            if order is not None:
                order()
    return _Unstarted.made.copy()


class _Listener(Listener):
    """One of a Unix socket, whose clients pass for those of TCP."""

    accepted = 0

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        del peer
        self.accepted += 1
        return Connection(sock, _PEER, _LOCAL, timeouts=timeouts)

    def reach(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.address).removeprefix("unix:"))
        return client


def _rocket(worker: Callable[[], Worker], load: Load) -> None:
    with tempfile.TemporaryDirectory(prefix="rocket-budget-") as directory:
        _serve(worker, _Listener(f"unix:{directory}/socket"), load)


def _serve(worker: Callable[[], Worker], listener: _Listener, load: Load) -> None:
    """A server with one worker, which runs on this thread; the others, which wait, do not run."""
    server = Server(worker, [listener], min_threads=1, max_threads=1)
    threads = _start(server)
    # The thread of the listener would lend the socket to the worker.
    listener._guard(cast(socket.socket, listener._socket))
    pool = server._pool
    pool.guard(on=True)  # as in a server that is busy
    pool._looked_at = inf  # under callgrind, this would happen far more often than otherwise
    clients = Clients(load, listener.reach)
    poll = EpollPoller.poll

    def act_and_poll(self: EpollPoller, *arguments: Any) -> list[tuple[int, int]]:
        try:
            if listener.accepted == clients.opened:  # and so all have been served by now
                clients.act()
        except OverError:
            pool.stop()
        return poll(self, *arguments)

    (serving,) = (each for each in threads if each.name.startswith("rocket-worker"))
    with _replaced(EpollPoller, "poll", act_and_poll):
        serving.run()
    listener.close()
    if not clients.over:
        sys.exit(1)  # the worker has logged why it ended


def _wsgi(application: WSGIApplication, load: Load) -> Run:
    return lambda: _rocket(lambda: WSGIWorker(application, h2c=True), load)


CLIENTS: Final = "clients alone"
CORE_FLOOR: Final = "bare loop"
WSGI_FLOOR: Final = "WSGI loop"

_ALONE: Final = {together: f"{CLIENTS} {together}" for together in _STREAMS}

SUBJECTS: Final[dict[str, Run]] = {
    CLIENTS: lambda: _clients_alone(Load(_SAME), _ANSWER),
    **{
        _ALONE[together]: partial(_clients_alone, load, _STREAM_ANSWER * together)
        for together, load in _STREAMS.items()
    },
    CORE_FLOOR: lambda: _loop(bare_loop.Loop(0, closing=False)),
    WSGI_FLOOR: lambda: _loop(wsgi_loop.Loop(pages.hello, 0)),
    "core": lambda: _rocket(Fixed, Load(_SAME)),
    "hello": _wsgi(pages.hello, Load(_SAME)),
    "hello-varied": _wsgi(pages.hello, Load(_VARIED)),
    "post-1k": _wsgi(pages.upload, Load(_POSTED)),
    "chunks": _wsgi(pages.chunks, Load(_SAME)),
    "fresh": _wsgi(pages.hello, Load(_LAST, fresh=True)),
    **{f"h2-{together}": _wsgi(pages.hello, load) for together, load in _STREAMS.items()},
    **{
        f"h2-{together}-varied": _wsgi(pages.hello, load)
        for together, load in _VARIED_STREAMS.items()
    },
}
"""All of them, in the order in which they are counted."""

FLOORS: Final = {
    name: CORE_FLOOR if name == "core" else WSGI_FLOOR
    for name in SUBJECTS
    if name not in (CLIENTS, CORE_FLOOR, WSGI_FLOOR, *_ALONE.values())
}
"""For each that has a budget, that to which its instructions are compared."""

CLIENTS_OF: Final = {
    name: _ALONE.get(int((re.findall(r"^h2-(\d+)", name) or "0")[0]), CLIENTS)
    for name in (CORE_FLOOR, WSGI_FLOOR, *FLOORS)
}
"""For each that is counted, its clients, whose part is not counted."""

"""A server with an admin endpoint in the test's own process, and made-up answers of processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rocket_cli._admin.endpoint import AdminWorker
from rocket_cli._admin.inspector import Inspector
from rocket_cli._admin.reply import Ask, AskError, Reply
from rocket_cli._sockets.bound_sockets import bind_private
from rocket_core import Listener, Server, TCPAddress, UnixAddress, Worker
from rocket_core.testing import PATIENCE
from rocket_wsgi import WebSocket, WSGIWorker

Environ = dict[str, Any]
Start = Callable[..., object]

SUPERVISOR: dict[str, Any] = {
    "supervisor": 99,
    "started": 1.7e9,
    "restarts": 3,
    "failed_starts": 4,
    "failed_reloads": 5,
    "wanted": 2,
    "processes": [],
}
"""What a supervisor answers about its processes."""


class Sleeper:
    """An application whose requests for /hold wait until `leave` is set.

    So does a websocket at /websocket that gets ``hold``; other messages come back. At /events is an
    event stream with one event.
    """

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()

    def __call__(self, environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/hold":
            self.hold()
        if environ["PATH_INFO"] == "/websocket":
            environ["rocket.websocket"].accept(self)
        if environ["PATH_INFO"] == "/events":
            environ["rocket.events"].open(retry=None).send("news")
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        if data == "hold":
            self.hold()
        ws.send(data)

    def hold(self) -> None:
        self.entered.release()
        assert self.leave.wait(PATIENCE)  # here it is held

    def wait(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE)


@contextmanager
def serving(application: Any, listener: Listener | None = None) -> Iterator[Server]:
    listener = listener or Listener("127.0.0.1:0")
    worker: Callable[[], Worker] = lambda: WSGIWorker(application)  # noqa: E731
    with Server(worker, [listener], min_threads=2, max_threads=4) as server:
        yield server


def url(server: Server) -> str:
    address = server.listeners[0].address
    assert isinstance(address, TCPAddress)
    return f"http://{address}"


def asking(server: Server) -> Ask:
    """Return a function that asks this process as if it were the only worker of a supervisor."""
    handlers = Inspector(server).handlers

    def ask(name: str, arguments: Mapping[str, Any]) -> Reply:
        if name == "processes":
            return Reply([SUPERVISOR])
        if name not in handlers:
            raise AskError(f"nobody answers {name}")
        return Reply([{"process": os.getpid(), "generation": 1, **handlers[name](dict(arguments))}])

    return ask


@contextmanager
def administered(path: Path, ask: Ask) -> Iterator[Server]:
    """Run an admin endpoint at ``path`` in this block."""
    sock = bind_private(UnixAddress(path))
    with Server(lambda: AdminWorker(ask), [Listener(sock)], min_threads=1, max_threads=2) as server:
        yield server
    path.unlink()


def stats(**changes: Any) -> dict[str, Any]:
    """Return the answer of a process to ``stats``."""
    return {
        "process": 100,
        "generation": 1,
        "version": "0.1.0",
        "build": "compiled",
        "python": "CPython 3.13.0",
        "gil": True,
        "gil_wait": 0.0001,
        "uptime": 65.0,
        "state": "running",
        "memory": 30 << 20,
        "descriptors": {"open": 50, "limit": 1000},
        "threads": {"count": 8, "min": 8, "max": 16, "busy": 3, "stalled": 1},
        "queue": 2,
        "in_lines": 0,
        "held": 1000,
        "connections": {"idle": 5, "active": 3},
        "shared": {},
        "listeners": ["http://127.0.0.1:8000"],
        "certificates": [],
        "failed_certificates": {},
        "counters": counters(),
        **changes,
    }


def counters(requests: int = 10, **changes: Any) -> dict[str, Any]:
    """Return the counters of a process."""
    return {
        "accepted": 4,
        "accept_errors": 0,
        "refused": 0,
        "refused_clients": 0,
        "limited": 0,
        "lined": 0,
        "requests": requests,
        "closes": {"client closed": 2},
        "tls_errors": {},
        "messages": {},
        "outcomes": {},
        "queue_time": {"sum": requests * 1e-5, "buckets": {"16": requests}},
        "service_time": {"sum": requests * 3e-3, "buckets": {"3072": requests}},
        "service_times": {
            **{name: {"sum": 0.0, "buckets": {}} for name in ("none", "1xx", "3xx", "4xx", "5xx")},
            "2xx": {"sum": requests * 3e-3, "buckets": {"3072": requests}},
        },
        "responses": {"1xx": 0, "2xx": requests, "3xx": 0, "4xx": 0, "5xx": 0},
        "own_responses": {},
        "log_lines_lost": {"access": 1, "server": 2},
        "cpu": 1.5,
        **changes,
    }


SHARED: dict[str, Any] = {
    "websocket": {"parked": 1000, "active": 3},
    "deferred answer": {"parked": 7, "active": 0},
}
"""The websockets and others of a process."""

MESSAGES: dict[str, Any] = {
    "messages": {
        "websocket": {"received": 500, "sent": 4000, "dropped": 20},
        "deferred answer": {"received": 0, "sent": 0, "dropped": 0},
    },
    "outcomes": {"websocket": {"1000": 40, "1013": 60}, "event stream": {"client closed": 9}},
}
"""Counters of its messages, and of what has ended."""


def thread(**changes: Any) -> dict[str, Any]:
    """Return the description of a busy thread."""
    return {
        "thread": "rocket-worker-1",
        "ident": 1,
        "native_id": 101,
        "client": "10.0.0.1:4711",
        "request": "GET /slow",
        "seconds": 12.5,
        "state": "active",
        **changes,
    }

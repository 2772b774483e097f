"""One client has no more requests served at once than it may; its others wait in its line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conftest import Serve
from rocket_core import Listener, Server
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import WSGIWorker
from served import Served

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]


def get(path: str, host: str = "") -> bytes:
    forwarded = f"X-Forwarded-For: {host}\r\n" if host else ""
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{forwarded}\r\n".encode()


class Holding:
    """An application that holds requests for ``/hold``, and counts them by client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.leave = threading.Event()
        self.running: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.order: list[str] = []

    def __call__(self, environ: Environ, start_response: Start) -> list[bytes]:
        client = environ["REMOTE_ADDR"]
        with self._lock:
            self.running[client] = self.running.get(client, 0) + 1
            self.most[client] = max(self.most.get(client, 0), self.running[client])
            self.order.append(environ["PATH_INFO"] + client)
        try:
            if environ["PATH_INFO"] == "/hold":
                assert self.leave.wait(PATIENCE)
        finally:
            with self._lock:
                self.running[client] -= 1
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]


PROXIED: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"]}


@contextmanager
def holding(serve: Serve, limit: int, *, threads: int = 4, **worker: Any) -> Iterator[Any]:
    application = Holding()
    settings = {"max_running_per_client": limit, **worker.pop("server", {})}
    served = serve(application, threads=threads, server=settings, **{**PROXIED, **worker})
    try:
        yield application, served
    finally:
        application.leave.set()


def in_lines(served: Served) -> int:
    return served.server.statistics().in_lines


def test_others_pass_a_client_that_has_as_many_served_as_it_may(serve: Serve) -> None:
    with holding(serve, 2) as (application, served):
        greedy = [served.open() for _ in range(10)]
        for client in greedy:
            client.send(get("/hold", "10.0.0.1"))
        eventually(lambda: in_lines(served) == 8)
        for number in range(2, 12):
            other = served.open()
            other.send(get("/", f"10.0.0.{number}"))
            assert other.answer().body == b"done"
        assert application.most["10.0.0.1"] == 2
        application.leave.set()
        for client in greedy:
            assert client.answer().body == b"done"
        assert application.most["10.0.0.1"] == 2
        assert in_lines(served) == 0
        assert served.server.statistics().lined >= 8


def test_one_at_a_time(serve: Serve) -> None:
    """Each request that ends calls the next one, whichever thread serves."""
    with holding(serve, 1) as (application, served):
        application.leave.set()
        clients = [served.open() for _ in range(8)]
        for _ in range(5):
            for client in clients:
                client.send(get("/hold", "10.0.0.1"))
            for client in clients:
                assert client.answer().body == b"done"
        assert application.most == {"10.0.0.1": 1}
        assert len(application.order) == 40


def test_networks_of_ipv6_are_clients(serve: Serve) -> None:
    with holding(serve, 1) as (application, served):
        clients = [served.open() for _ in range(4)]
        addresses = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:0:2::1"]
        for client, address in zip(clients, addresses, strict=True):
            client.send(get("/hold", address))
            eventually(lambda: sum(application.running.values()) + in_lines(served) > 0)
        eventually(lambda: in_lines(served) == 1)
        eventually(lambda: sum(application.running.values()) == 3)


def test_client_without_a_proxy_is_its_address(serve: Serve) -> None:
    with holding(serve, 1, trusted_proxies=None) as (application, served):
        clients = [served.open() for _ in range(3)]
        for client in clients:
            client.send(get("/hold"))
        eventually(lambda: in_lines(served) == 2)
        assert sum(application.running.values()) == 1


def test_no_more_wait_of_one_client_than_others_could(serve: Serve) -> None:
    with holding(serve, 1, server={"max_queue": 4}) as (application, served):
        clients = [served.open() for _ in range(4)]
        for number, client in enumerate(clients):
            client.send(get("/hold", "10.0.0.1"))
            if number < 3:
                eventually(lambda n=number: in_lines(served) == n)  # type: ignore[misc]
        assert clients[3].answer().status == 503
        others = [served.open() for _ in range(2)]
        for client in others:
            client.send(get("/hold", "10.0.0.2"))
        eventually(lambda: in_lines(served) == 3)
        application.leave.set()
        for client in clients[:3] + others:
            assert client.answer().body == b"done"


def test_what_waits_for_too_long_is_refused(serve: Serve) -> None:
    with holding(serve, 1, server={"queue_timeout": 0.2}) as (application, served):
        first, second = served.open(), served.open()
        first.send(get("/hold", "10.0.0.1"))
        eventually(lambda: application.running)
        second.send(get("/hold", "10.0.0.1"))
        assert second.answer().status == 503
        application.leave.set()
        assert first.answer().body == b"done"
        assert application.order == ["/hold10.0.0.1"]


def test_urgent_requests_do_not_wait(serve: Serve) -> None:
    with holding(serve, 1, reserved=lambda environ: environ["PATH_INFO"] == "/urgent") as (
        application,
        served,
    ):
        first, second, third = served.open(), served.open(), served.open()
        first.send(get("/hold", "10.0.0.1"))
        eventually(lambda: application.running)
        second.send(get("/hold", "10.0.0.1"))
        eventually(lambda: in_lines(served) == 1)
        third.send(get("/urgent", "10.0.0.1"))
        assert third.answer().body == b"done"
        assert in_lines(served) == 1


def test_stop_ends_what_waits(serve: Serve) -> None:
    with holding(serve, 1) as (application, served):
        clients = [served.open() for _ in range(4)]
        for client in clients:
            client.send(get("/hold", "10.0.0.1"))
        eventually(lambda: in_lines(served) == 3)
        served.server.stop()
        application.leave.set()
        assert served.server.wait(PATIENCE)
        assert served.server.connections == 0


def test_drain_serves_what_waits(serve: Serve) -> None:
    with holding(serve, 1) as (application, served):
        clients = [served.open() for _ in range(4)]
        for client in clients:
            client.send(get("/hold", "10.0.0.1"))
        eventually(lambda: in_lines(served) == 3)
        served.server.drain(PATIENCE)
        application.leave.set()
        for client in clients:
            assert client.answer().body == b"done"
        assert served.server.wait(PATIENCE)


def test_client_that_leaves_its_line(serve: Serve) -> None:
    """The place is passed on."""
    with holding(serve, 1) as (application, served):
        clients = [served.open() for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(get("/hold", "10.0.0.1"))
            if number < 2:
                eventually(lambda n=number: in_lines(served) == n)  # type: ignore[misc]
        eventually(lambda: in_lines(served) == 2)
        clients[1].close()
        application.leave.set()
        assert clients[0].answer().body == b"done"
        assert clients[2].answer().body == b"done"
        again = served.open()
        again.send(get("/", "10.0.0.1"))
        assert again.answer().body == b"done"


def test_all_threads_busy_with_others(serve: Serve) -> None:
    """The Monitor's thread finds requests in the queue that were called, and keeps their places."""
    with holding(serve, 1, threads=1, server={"queue_timeout": 0.3}) as (application, served):
        blocked = served.open()
        blocked.send(get("/hold", "10.0.0.9"))
        eventually(lambda: application.running)
        late = [served.open() for _ in range(3)]
        for client in late:
            client.send(get("/", "10.0.0.1"))
        for client in late:
            assert client.answer().status == 503
        application.leave.set()
        assert blocked.answer().body == b"done"
        again = served.open()
        again.send(get("/", "10.0.0.1"))
        assert again.answer().body == b"done"


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_must_be_positive(limit: int) -> None:
    with pytest.raises(ValueError, match="max_running_per_client must be at least 1"):
        Server(
            lambda: WSGIWorker(lambda *_: []),
            [Listener("127.0.0.1:0")],
            max_running_per_client=limit,
        )

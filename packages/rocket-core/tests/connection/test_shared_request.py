"""Requests on a shared connection are served on as many threads as there are, in turns."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from coresupport import connect, serving
from rocket_core import Connection, SharedConnection, SharedProtocol, State, Worker
from rocket_core.extending import SharedRequest
from rocket_core.testing import PATIENCE, Client, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rocket_core import Server


class Named:
    """A request that is a name, which is the answer to it. A `RequestHandler`."""

    def __init__(self, protocol: Names, name: str) -> None:
        self.protocol = protocol
        self.name = name
        self.gone = False
        self.arrived_at = time.monotonic()

    @property
    def connection(self) -> Any:
        return self.protocol.shared.connection

    def queued(self) -> SharedRequest:
        return SharedRequest(self, self.arrived_at)

    def answer(self, text: str) -> None:
        self.protocol.shared.queue(f"{text}\n".encode())

    def follow(self) -> SharedRequest | None:
        return self.protocol.take()

    def drop(self) -> None:
        self.answer(f"dropped {self.name}")

    def serve(self, worker: Any, request: SharedRequest) -> None:
        assert request.handler is self
        assert worker is self.protocol.worker
        lease = request.lease
        if lease is not None:
            lease.offer(None)
        self.protocol.worker.serve_named(self.name)
        if lease is not None:
            lease.claim()
        self.answer(self.name)

    def is_urgent(self, worker: Any) -> bool:
        assert worker is self.protocol.worker
        return self.name.startswith("urgent")

    def take_urgent(self) -> SharedRequest | None:
        return self.protocol.take_urgent()

    def put_back(self) -> None:
        with self.protocol.lock:
            self.protocol.waiting.append(self)

    def refuse(self) -> None:
        self.answer(f"refused {self.name}")

    def overdue(self) -> None:
        self.answer(f"overdue {self.name}")

    def break_off(self) -> None:
        self.answer(f"broken off {self.name}")

    def give_way(self) -> None:
        self.answer(f"gave way {self.name}")

    def failed(self) -> None:
        self.answer(f"failed {self.name}")

    def flush(self) -> None:
        self.protocol.shared.flush()

    def pace(self, now: float) -> float:
        del now
        return 0.0

    def doing(self) -> str:
        return f"answering {self.name}"


class Names(SharedProtocol):
    """Each line is a request; ``gone NAME`` takes the one back that has this name."""

    kind = "names"

    def __init__(self, worker: NamesWorker) -> None:
        self.worker = worker
        self.lock = threading.Lock()
        self.waiting: deque[Named] = deque()
        self.all: dict[str, Named] = {}
        self.queued = False
        self.shared: SharedConnection

    def received(self, connection: Connection) -> None:
        while (line := connection.take_through(b"\n")) is not None:
            word, _, name = line.decode().rpartition(" ")
            with self.lock:
                if word == "gone":
                    self.all[name].gone = True
                    continue
                self.all[name] = named = Named(self, name)
                self.waiting.append(named)
        with self.lock:
            if self.queued or not self.waiting:
                return
            self.queued = True
            first = self.waiting.popleft()
        self.shared.serve(first.queued())

    def is_gone(self, name: str) -> bool:
        return name in self.all and self.all[name].gone

    def take(self) -> SharedRequest | None:
        with self.lock:
            self.queued = bool(self.waiting)
            return self.waiting.popleft().queued() if self.waiting else None

    def take_urgent(self) -> SharedRequest | None:
        with self.lock:
            for named in self.waiting:
                if named.name.startswith("urgent"):
                    self.waiting.remove(named)
                    # It has no follower: another one of this connection is in the queue.
                    urgent = Ahead(self, named.name)
                    return urgent.queued()
        return None


class Ahead(Named):
    """A request that is served ahead of its turn."""

    def follow(self) -> SharedRequest | None:
        return None


class NamesWorker(Worker):
    """Shares every connection. A test holds up the requests whose names begin with ``hold``."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.protocols: list[Names] = []

    def serve(self, connection: Connection) -> State:
        connection.take()
        protocol = Names(self)
        protocol.shared = connection.share(protocol)
        connection.write(b"shared\n")
        self.protocols.append(protocol)
        return State.SHARED

    def serve_named(self, name: str) -> None:
        self.served.append(name)
        if name.startswith("hold"):
            self.entered.release()
            assert self.go_on.acquire(timeout=PATIENCE)
        if name.startswith("raise"):
            raise LookupError(name)


class Site:
    """A server, its worker, and clients whose connections are shared."""

    def __init__(self, server: Server, worker: NamesWorker, stack: ExitStack) -> None:
        self.server = server
        self.worker = worker
        self.stack = stack

    def client(self) -> Client:
        client = self.stack.enter_context(connect(self.server))
        client.send(b"share\n")
        assert client.read_line() == b"shared\n"
        return client

    def enters(self, count: int = 1) -> None:
        """Wait until so many requests are held up."""
        for _ in range(count):
            assert self.worker.entered.acquire(timeout=PATIENCE)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    worker = NamesWorker()
    options: dict[str, Any] = {"threads": 1, **getattr(request, "param", {})}
    with serving(lambda: worker, **options) as server, ExitStack() as stack:
        yield Site(server, worker, stack)
        worker.go_on.release(100)


def with_options(**options: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("site", [options], indirect=True)


@with_options(threads=3)
def test_requests_of_one_connection_are_served_at_the_same_time(site: Site) -> None:
    client = site.client()
    client.send(b"hold 1\nhold 2\nhold 3\nlast\n".replace(b" ", b"-"))
    site.enters(3)
    site.worker.go_on.release(3)
    assert {client.read_line() for _ in range(4)} == {
        b"hold-1\n",
        b"hold-2\n",
        b"hold-3\n",
        b"last\n",
    }


def test_many_requests_of_one_client_and_one_of_another_are_treated_alike(site: Site) -> None:
    first, second = site.client(), site.client()
    first.send(b"hold\n")
    site.enters()
    first.send(b"a\nb\nc\n")
    eventually(lambda: len(site.worker.protocols[0].all) == 4)
    second.send(b"other\n")
    eventually(lambda: site.server._pool.waiting == 2)
    site.worker.go_on.release()
    assert second.read_line() == b"other\n"
    assert [first.read_line() for _ in range(4)] == [b"hold\n", b"a\n", b"b\n", b"c\n"]
    assert site.worker.served == ["hold", "a", "other", "b", "c"]


def test_request_whose_client_has_gone_is_not_served(site: Site) -> None:
    client = site.client()
    client.send(b"hold\n")
    site.enters()
    client.send(b"a\nb\ngone a\n")
    eventually(lambda: site.worker.protocols[0].is_gone("a"))
    assert client.read_line() == b"dropped a\n"
    site.worker.go_on.release()
    assert [client.read_line(), client.read_line()] == [b"hold\n", b"b\n"]
    assert site.worker.served == ["hold", "b"]


def test_failure_ends_the_request_alone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    client = site.client()
    with caplog.at_level(logging.ERROR):
        client.send(b"raise\nnext\n")
        assert [client.read_line(), client.read_line()] == [b"failed raise\n", b"next\n"]
    assert "LookupError: raise" in caplog.text


def test_urgent_request_is_served_behind_others_while_all_workers_are_busy(site: Site) -> None:
    client = site.client()
    client.send(b"hold\n")
    site.enters()
    client.send(b"a\nurgent\n")
    assert client.read_line() == b"urgent\n"
    site.worker.go_on.release()
    assert [client.read_line(), client.read_line()] == [b"hold\n", b"a\n"]


@with_options(queue_timeout=0.05)
def test_request_that_waits_too_long_is_refused(site: Site) -> None:
    client = site.client()
    client.send(b"hold\n")
    site.enters()
    client.send(b"a\n")
    assert client.read_line() == b"refused a\n"
    site.worker.go_on.release()
    assert client.read_line() == b"hold\n"


@with_options(request_timeout=2)
def test_request_that_takes_too_long_is_answered_without_its_worker(site: Site) -> None:
    client = site.client()
    client.send(b"hold\n")
    assert client.read_line() == b"overdue hold\n"
    client.send(b"next\n")
    assert client.read_line() == b"next\n"
    site.worker.go_on.release()
    assert client.read_line() == b"failed hold\n"  # so its worker has found
    eventually(lambda: not site.server._pool.away)


def test_what_a_worker_serves_is_seen(site: Site) -> None:
    client = site.client()
    client.send(b"hold\n")
    site.enters()
    activities = [each.doing for each in site.server.activities() if each.doing]
    assert activities == ["answering hold"]
    site.worker.go_on.release()
    assert client.read_line() == b"hold\n"

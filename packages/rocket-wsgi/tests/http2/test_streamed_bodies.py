"""Bodies that applications read while they arrive have a bound in memory, common to all clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client
from rocket_core import Timeouts
from rocket_core._connection.budget import GRAIN
from rocket_core._connection.input_room import InputRoom
from rocket_core.testing import PATIENCE, at_growing_scales, eventually, within
from rocket_wsgi._http2.limits import STREAM_WINDOW

if TYPE_CHECKING:
    from conftest import Serve
    from served import Served

Environ = dict[str, Any]
Start = Callable[..., Any]
Connect = Callable[..., HTTP2Client]

CANCEL = 8
LIMIT = 1024 * 1024
RECEIVED = 64 * 1024
"""The bytes that a connection receives at once, at most."""


class Gated:
    """An application that reads bodies once the gate is open.

    Attributes:
        begun: how many requests have reached it.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = 0

    def __call__(self, environ: Environ, start: Start) -> list[bytes]:
        self.begun += 1
        size = 0
        if environ["PATH_INFO"] != "/quick":
            assert self.gate.wait(PATIENCE)
            while data := environ["wsgi.input"].read(10_000):
                size += len(data)
        start("200 OK", [])
        return [str(size).encode()]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, which are closed with the test."""
    with ExitStack() as stack:
        yield lambda served, **options: stack.enter_context(HTTP2Client(served.address, **options))


class Upload:
    """Large bodies on the streams of one connection, sent by a thread of their own."""

    def __init__(self, client: HTTP2Client, count: int, size: int) -> None:
        self._client = client
        self._size = size
        self._error: Exception | None = None
        self.streams = [client.begin("/body", "POST", end=False) for _ in range(count)]
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        try:
            for each in self.streams:
                self._client.send(each, bytes(self._size))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails by it, or not
            self._error = error

    def join(self) -> None:
        self._thread.join()

    def answers(self) -> list[str]:
        self.join()
        if self._error is not None:
            raise self._error
        return [self._client.answer(each).text for each in self.streams]


def limit(served: Served) -> InputRoom:
    room = InputRoom(LIMIT)
    served.server._server_state.room = room
    return room


def waiting(served: Served) -> int:
    """The number of connections that are not read."""
    connections = served.server._registry.snapshot()
    return sum(each.shared is not None and each.shared.waits_for_room for each in connections)


def test_bodies_that_are_not_read_stay_within_the_bound(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=2, stream_bodies=True)
    room = limit(served)
    clients = [connect(served) for _ in range(4)]
    uploads = [Upload(client, 4, STREAM_WINDOW) for client in clients]
    eventually(lambda: waiting(served) == len(clients) - 1)
    # The favoured one is read to its end.
    most = LIMIT + 4 * STREAM_WINDOW + len(clients) * (RECEIVED + GRAIN)
    assert room.held <= most
    application.gate.set()
    for upload in uploads:
        assert upload.answers() == [str(STREAM_WINDOW)] * 4
    eventually(lambda: not room.held)
    assert not waiting(served)


def test_a_connection_that_is_not_read_is_not_too_slow(serve: Serve, connect: Connect) -> None:
    def test(scale: float) -> None:
        application = Gated()
        times = Timeouts(grace=0.3 * scale, minimum_rate=1e9)
        served = serve(application, h2c=True, threads=2, stream_bodies=True, timeouts=times)
        room = limit(served)
        full, late = connect(served), connect(served)
        uploads: list[Upload] = []

        def finish() -> None:
            """Leave nothing behind when the machine was too slow, too."""
            application.gate.set()
            for each in uploads:
                each.join()

        with ExitStack() as stack:
            stack.callback(finish)
            with within(0.2 * scale):
                uploads.append(Upload(full, 5, STREAM_WINDOW))
                eventually(lambda: room.held == 5 * STREAM_WINDOW - GRAIN)
            with within(0.2 * scale):
                uploads.append(Upload(late, 1, 100_000))
                eventually(lambda: waiting(served) == 1)
            for _ in range(3):  # others that are read, and as slow, end meanwhile
                slow = connect(served)
                stream = slow.begin("/body", "POST", end=False)
                slow.send(stream, b"x", end=False)
                assert slow.answer(stream).reset == CANCEL
            with within(0.2 * scale):
                application.gate.set()
                answers = [upload.answers() for upload in uploads]
        assert answers == [[str(STREAM_WINDOW)] * 5, ["100000"]]

    at_growing_scales(test)


def test_what_is_not_read_of_a_body_is_given_back(serve: Serve, connect: Connect) -> None:
    """By the end of the request, by a reset, and by the end of the connection."""

    def application(environ: Environ, start: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/held":
            assert gate.wait(PATIENCE)
        start("200 OK", [])
        return [b"unread"]

    gate = threading.Event()
    served = serve(application, h2c=True, threads=1, stream_bodies=True)
    room = served.server._server_state.room
    client = connect(served)
    stream = client.begin("/held", "POST", end=False)
    queued = client.begin("/queued", "POST", end=False)
    reset = client.begin("/reset", "POST", end=False)
    for each in (stream, queued, reset):
        client.send(each, bytes(100_000), end=False)
    eventually(lambda: room.held == 300_000 - GRAIN)
    client.reset(reset)
    eventually(lambda: room.held == 200_000 - GRAIN)
    other = connect(served)
    more = other.begin("/more", "POST", end=False)
    other.send(more, bytes(100_000), end=False)
    eventually(lambda: room.held == 300_000 - 2 * GRAIN)
    other.close()
    eventually(lambda: room.held == 200_000 - GRAIN)
    gate.set()
    assert client.answer(stream).text == "unread"
    assert client.answer(queued).text == "unread"
    eventually(lambda: not room.held)

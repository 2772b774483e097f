"""Streams are taken, and responses sent, in the order that the client wishes (RFC 9218)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi._http2.frames import DATA, PRIORITY_UPDATE, frame

if TYPE_CHECKING:
    from conftest import Serve
    from served import Served

Environ = dict[str, Any]
Start = Callable[..., Any]
Connect = Callable[..., HTTP2Client]

SIZE = 300_000


class Gated:
    """An application whose first request waits for a gate.

    Attributes:
        paths: the paths in the order in which the application was called.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.gate = threading.Event()

    def __call__(self, environ: Environ, start: Start) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.paths.append(path)
        if path == "/hold":
            assert self.gate.wait(PATIENCE)
        start("200 OK", [])
        return [bytes(SIZE) if path.startswith("/large") else b"ok"]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, which are closed with the test."""
    with ExitStack() as stack:
        yield lambda served, **options: stack.enter_context(HTTP2Client(served.address, **options))


def begin(served: Served, client: HTTP2Client, application: Gated) -> list[int]:
    """Occupy the only thread, and the place of the connection in the queue of the pool."""
    held = client.begin("/hold")
    eventually(lambda: application.paths == ["/hold"])
    queued = client.begin("/queued")
    eventually(lambda: served.server._pool.waiting == 1)
    return [held, queued]


def waiting(served: Served) -> int:
    """The number of streams that are not over."""
    (connection,) = served.server._registry.snapshot()
    assert connection.shared is not None
    protocol: Any = connection.shared.protocol
    return len(protocol._exchanges)


def update(stream: int, priority: bytes) -> bytes:
    return frame(PRIORITY_UPDATE, 0, 0, stream.to_bytes(4, "big") + priority)


def finish(client: HTTP2Client, application: Gated, streams: list[int]) -> list[str]:
    """Let all streams be served; return the paths behind those that were there before."""
    application.gate.set()
    assert [client.answer(each).status for each in streams] == [200] * len(streams)
    return application.paths[2:]


def test_the_urgent_are_taken_first(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=1)
    client = connect(served)
    streams = begin(served, client, application)
    priorities = ["u=7", "", "u=3, i", "u=0", "i", "u=1, i", "u=0", "u=9", "!"]
    for number, priority in enumerate(priorities):
        fields = [("priority", priority)] if priority else []
        streams.append(client.begin(f"/{number}", fields=fields))
    eventually(lambda: waiting(served) == 2 + len(priorities))
    taken = finish(client, application, streams)
    assert taken == ["/3", "/6", "/5", "/1", "/2", "/4", "/7", "/8", "/0"]


def test_a_stream_that_waits_is_moved(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=1)
    client = connect(served)
    streams = begin(served, client, application)
    others = [client.begin(f"/{number}", flush=False) for number in range(5)]
    client.flush()
    client.send_raw(
        update(others[3], b"u=0")
        + update(others[0], b"u=6")
        + update(others[1], b"u=3, i")
        + update(others[0], b"u=5, i")
        + update(streams[0], b"u=1")  # which is being served
        + update(others[4] + 2, b"u=1")  # which has not begun
    )
    others.append(client.begin("/5", flush=True))
    others.append(client.begin("/6", flush=True))
    eventually(lambda: waiting(served) == 2 + len(others))
    taken = finish(client, application, streams + others)
    assert taken == ["/3", "/5", "/1", "/2", "/4", "/6", "/0"]


def test_one_that_was_reset_is_not_taken_and_harms_no_order(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=1)
    client = connect(served)
    streams = begin(served, client, application)
    others = [
        client.begin(f"/{number}", fields=[("priority", f"u={number % 3}")]) for number in range(9)
    ]
    for each in (others[0], others[3], others[6], others[4]):
        client.reset(each)
    kept = [others[number] for number in (1, 2, 5, 7, 8)]
    eventually(lambda: waiting(served) == 2 + len(kept))
    assert finish(client, application, streams + kept) == ["/1", "/7", "/2", "/5", "/8"]


def test_priorities_of_rfc_7540_mean_nothing(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=1)
    client = connect(served)
    streams = begin(served, client, application)
    others = [client.begin(f"/{number}", flush=False) for number in range(4)]
    client.h2.prioritize(others[3], weight=256, depends_on=0, exclusive=True)
    client.h2.prioritize(others[0], weight=1, depends_on=others[3])
    client.flush()
    eventually(lambda: waiting(served) == 2 + len(others))
    assert finish(client, application, streams + others) == ["/0", "/1", "/2", "/3"]


@pytest.mark.parametrize(
    ("priorities", "order"),
    [
        (["u=5", "u=1"], [1, 0]),
        (["", ""], [0, 1]),
        (["u=2, i", "u=1, i"], [1, 0]),
    ],
)
def test_responses_are_sent_in_the_order_of_their_urgency(
    serve: Serve, connect: Connect, priorities: list[str], order: list[int]
) -> None:
    served = serve(Gated(), h2c=True)
    client = connect(served, window=2 * SIZE, gives_credit=False)
    filler = client.begin("/large")  # closes the window of the connection
    client.until(lambda: len(client.answers[filler].body) == 65_535)
    streams = [
        client.begin(f"/large/{number}", fields=[("priority", priority)] if priority else [])
        for number, priority in enumerate(priorities)
    ]
    client.until(lambda: all(client.answers[each].status for each in streams))
    client.reset(filler)
    client.h2.increment_flow_control_window(4 * SIZE)
    client.flush()
    ends = []
    for kind, flags, stream, _ in client.frames():
        if kind == DATA and flags & 1:
            ends.append(stream)
            if len(ends) == len(streams):
                break
    assert ends == [streams[number] for number in order]


def test_incremental_responses_share_the_connection(serve: Serve, connect: Connect) -> None:
    served = serve(Gated(), h2c=True)
    client = connect(served, window=2 * SIZE, gives_credit=False)
    filler = client.begin("/large")
    client.until(lambda: len(client.answers[filler].body) == 65_535)
    streams = [client.begin("/large", fields=[("priority", "u=2, i")]) for _ in range(2)]
    client.until(lambda: all(client.answers[each].status for each in streams))
    client.reset(filler)
    client.h2.increment_flow_control_window(4 * SIZE)
    client.flush()
    seen = []
    for kind, _, stream, _ in client.frames():
        if kind == DATA:
            seen.append(stream)
            if len(seen) == 10:
                break
    assert seen == streams * 5

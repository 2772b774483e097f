"""A drain ends connections of HTTP/2 gracefully (RFC 9113, section 6.8)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from hpack import Decoder

from http2_client import HTTP2Client
from rocket_core.testing import PATIENCE, at_growing_scales, within
from rocket_wsgi._http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY_UPDATE,
    RST_STREAM,
    WINDOW_UPDATE,
    frame,
)
from rocket_wsgi._http2.limits import DRAIN_ROUND_TRIP

if TYPE_CHECKING:
    from conftest import Serve
    from served import Served

Environ = dict[str, Any]
Start = Callable[..., Any]
Connect = Callable[..., HTTP2Client]

ANY = b"\x7f\xff\xff\xff" + bytes(4)
"""The first GOAWAY frame, which no stream exceeds."""


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, which are closed with the test."""
    with ExitStack() as stack:
        yield lambda served, **options: stack.enter_context(HTTP2Client(served.address, **options))


class Drained:
    """What a client is sent while the server drains, without the library, which takes little then.

    Attributes:
        goaways: the payloads of the GOAWAY frames.
        statuses: the statuses by stream.
        bodies: the bodies of streams that have ended.
        resets: the streams that were reset.
    """

    def __init__(self, client: HTTP2Client, *, answers: bool = True) -> None:
        """Take up where the library is. Without ``answers``, no PING is answered."""
        self.goaways: list[bytes] = []
        self.statuses: dict[int, str] = {}
        self.bodies: dict[int, bytes] = {}
        self.resets: list[int] = []
        self._client = client
        self._frames = client.frames()
        self._answers = answers
        self._decoder = Decoder()

    def until(self, condition: Callable[[], object]) -> None:
        """Receive until ``condition`` holds, or to the end of the connection."""
        while not condition() and self.receive():
            pass

    def receive(self) -> bool:
        """Receive a frame; return whether there was one before the end of the connection."""
        found = next(self._frames, None)
        if found is None:
            return False
        self._take(*found)
        return True

    def end(self) -> None:
        """Receive until the server closes the connection."""
        self.until(lambda: False)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == PING and not flags and self._answers:
            self._client.send_raw(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaways.append(payload)
        elif kind == HEADERS:
            fields = [(str(name), str(value)) for name, value in self._decoder.decode(payload)]
            self.statuses[stream] = dict(fields)[":status"]
        elif kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        elif kind == RST_STREAM:
            self.resets.append(stream)


class Gate:
    """An application that echoes; requests for ``/hold`` wait until the gate opens."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self, environ: Environ, start: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/hold":
            self.begun.release()
            assert self.open.wait(PATIENCE)
        start("200 OK", [])
        return [environ["wsgi.input"].read() or b"done"]


def last(stream: int) -> bytes:
    return stream.to_bytes(4, "big") + bytes(4)


def drain(served: Served) -> None:
    served.server.drain(PATIENCE)


@pytest.mark.parametrize("answers", [True, False])
def test_idle_connections_end(serve: Serve, connect: Connect, answers: bool) -> None:
    """A client that answers no PING is told of the last stream after a second."""
    served = serve(Gate(), h2c=True)
    client = connect(served)
    assert client.get().status == 200
    drain(served)
    drained = Drained(client, answers=answers)
    drained.end()
    assert drained.goaways == [ANY, last(1)]
    assert served.server.wait(PATIENCE)


def test_a_request_on_its_way_is_served(serve: Serve, connect: Connect) -> None:
    """The client has sent it before the first GOAWAY frame has come, and may not repeat it."""

    def is_served(scale: float) -> None:
        del scale  # the time is the server's
        application = Gate()
        served = serve(application, h2c=True, health="/healthz")
        client = connect(served)
        held = client.begin("/hold")
        assert application.begun.acquire(timeout=PATIENCE)
        upload = client.begin("/upload", "POST", end=False)
        client.send(upload, b"first ", end=False)
        drained = Drained(client, answers=False)
        try:
            with within(DRAIN_ROUND_TRIP / 2):
                drain(served)
                drained.until(lambda: drained.goaways)
                later, health = client.begin("/later"), client.begin("/healthz")
                drained.until(lambda: {later, health} <= set(drained.bodies))
        finally:
            application.open.set()
        assert drained.statuses[later] == "200"
        assert drained.statuses[health] == "503"
        assert drained.bodies[later] == b"done"
        assert drained.bodies[health] == b"draining\n"
        client.send_raw(frame(PING, ACK, 0, b"draining"))
        drained.until(lambda: len(drained.goaways) == 2)
        client.send_raw(frame(DATA, END_STREAM, upload, b"second"))
        drained.end()
        assert drained.bodies[upload] == b"first second"
        assert drained.bodies[held] == b"done"
        assert drained.goaways == [ANY, last(health)]
        assert drained.resets == []
        assert served.server.wait(PATIENCE)

    at_growing_scales(is_served)


def late_head(stream: int, flags: int = END_STREAM) -> bytes:
    """The head of a request, ``GET /`` of ``a``."""
    return frame(HEADERS, END_HEADERS | flags, stream, b"\x82\x86\x84\x01\x01a")


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(late_head, id="whole"),
        pytest.param(lambda stream: late_head(stream, 0), id="without end"),
        pytest.param(
            lambda stream: (
                late_head(stream, 0)
                + frame(DATA, 0, stream, bytes(1000)) * 20
                + frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x00\x01a\x01b")
            ),
            id="body and trailers",
        ),
        pytest.param(
            lambda stream: (
                late_head(stream)
                + frame(WINDOW_UPDATE, 0, stream, b"\0\0\0\1")
                + frame(PRIORITY_UPDATE, 0, 0, stream.to_bytes(4, "big") + b"u=0")
                + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
            ),
            id="credit, priority and reset",
        ),
        pytest.param(
            lambda stream: b"".join(late_head(stream + 2 * each, 0) for each in range(300)),
            id="more than may be open",
        ),
    ],
)
def test_requests_behind_the_last_one_are_ignored(
    serve: Serve, connect: Connect, late: Callable[[int], bytes]
) -> None:
    """They hold no drain, and what was begun before is served to its end."""
    application = Gate()
    served = serve(application, h2c=True)
    client = connect(served)
    held = client.begin("/hold")
    assert application.begun.acquire(timeout=PATIENCE)
    upload = client.begin("/upload", "POST", end=False)
    drain(served)
    drained = Drained(client)
    drained.until(lambda: len(drained.goaways) == 2)
    client.send_raw(late(upload + 2))
    client.send_raw(frame(DATA, END_STREAM, upload, b"a body"))
    drained.until(lambda: upload in drained.bodies)
    application.open.set()
    drained.end()
    client.close()
    assert drained.bodies == {held: b"done", upload: b"a body"}
    assert drained.resets == []
    assert drained.goaways == [ANY, last(upload)]
    assert served.server.wait(PATIENCE)


def test_a_client_that_goes_on_is_served_for_a_round_trip_only(
    serve: Serve, connect: Connect
) -> None:
    """It takes no notice of GOAWAY frames, and answers no PING."""
    served = serve(Gate(), h2c=True)
    client = connect(served)
    first = client.begin("/")
    assert client.answer(first).status == 200
    client.h2.increment_flow_control_window(1 << 30)  # for all answers of a second
    client.flush()
    drain(served)
    drained = Drained(client, answers=False)
    began = monotonic()
    stream = first
    with suppress(BrokenPipeError, ConnectionResetError):  # once the server has closed it
        while len(drained.goaways) < 2:
            assert monotonic() - began < PATIENCE, "the drain does not end"
            stream += 2
            client.send_raw(late_head(stream))
            while stream not in drained.bodies and len(drained.goaways) < 2 and drained.receive():
                pass
    begun = range(first + 2, stream + 2, 2)
    drained.end()
    client.close()
    at = int.from_bytes(drained.goaways[1][:4], "big")
    assert drained.goaways == [ANY, last(at)]
    assert stream - 2 <= at <= stream
    assert [*drained.bodies] == [each for each in begun if each <= at]
    assert served.server.wait(PATIENCE)


def test_a_stop_cuts_what_a_drain_waits_for(serve: Serve, connect: Connect) -> None:
    application = Gate()
    served = serve(application, h2c=True)
    client = connect(served)
    client.begin("/hold")
    assert application.begun.acquire(timeout=PATIENCE)
    drain(served)
    drained = Drained(client)
    drained.until(lambda: len(drained.goaways) == 2)
    served.server.stop()
    drained.end()
    assert drained.bodies == {}
    application.open.set()
    assert served.server.wait(PATIENCE)

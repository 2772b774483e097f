"""Streams are exchanges of the pool, each of them on a thread of its own, and none holds one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client
from rocket_core import Peer, Timeouts
from rocket_core._connection import disk_budget
from rocket_core._pool.urgent_lanes import LANES
from rocket_core.testing import PATIENCE, at_growing_scales, descriptors, eventually, within
from rocket_wsgi import AccessLog, Site, StaticFiles
from rocket_wsgi._http2.frames import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    WINDOW_UPDATE,
    frame,
    number_in,
)
from rocket_wsgi._http2.http2_protocol import STREAM_BOUND
from rocket_wsgi._http2.limits import PREFACE_TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Serve
    from rocket_wsgi import WebSocket
    from served import Served

Environ = dict[str, Any]
Start = Callable[..., Any]
Connect = Callable[..., HTTP2Client]

MEBIBYTE = 1024 * 1024
CANCEL = 8
NO_ERROR = 0
INTERNAL_ERROR = 2


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, which are closed with the test."""
    with ExitStack() as stack:
        yield lambda served, **options: stack.enter_context(HTTP2Client(served.address, **options))


class Gated:
    """An application whose requests below ``/hold`` wait for a gate; records all paths.

    Attributes:
        paths: the paths in the order in which the application was called.
        gate: lets those that wait go on.
        gone: the results of ``rocket.client_gone`` after the gate.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.gate = threading.Event()
        self.gone: list[bool] = []

    def __call__(self, environ: Environ, start: Start) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.paths.append(path)
        if path.startswith("/hold"):
            assert self.gate.wait(PATIENCE)
            self.gone.append(environ["rocket.client_gone"]())
        start("200 OK", [("Content-Type", "text/plain")])
        return [path.encode()]


def body_of(size: int) -> Callable[[Environ, Start], list[bytes]]:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", [])
        return [b"x" * size]

    return application


def queued(served: Served) -> int:
    """The number of exchanges that wait in the queue of the pool."""
    return served.server._pool.waiting


def targets(served: Served) -> list[str]:
    """The targets of the requests of the only connection that are not over."""
    (connection,) = served.server._registry.snapshot()
    assert connection.shared is not None
    protocol: Any = connection.shared.protocol
    return [each.request.target for each in list(protocol._exchanges.values())]


# -- turns -----------------------------------------------------------------------------------------


def test_streams_of_one_connection_are_served_at_the_same_time(
    serve: Serve, connect: Connect
) -> None:
    all_here = threading.Barrier(6)

    def application(environ: Environ, start: Start) -> list[bytes]:
        all_here.wait(PATIENCE)
        start("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    client = connect(serve(application, h2c=True, threads=8))
    streams = [client.begin(f"/{number}") for number in range(6)]
    assert [client.answer(each).text for each in streams] == [f"/{n}" for n in range(6)]


def test_one_client_with_many_streams_and_another_one_take_turns(
    serve: Serve, connect: Connect
) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=1)
    many, one = connect(served), connect(served)
    first = many.begin("/hold")
    eventually(lambda: application.paths == ["/hold"])
    streams = [many.begin(f"/many/{number}", flush=False) for number in range(50)]
    many.flush()
    eventually(lambda: queued(served) == 1)
    single = one.begin("/one")
    eventually(lambda: queued(served) == 2)  # one of each connection
    application.gate.set()
    assert one.answer(single).text == "/one"
    assert many.answer(first).text == "/hold"
    assert all(many.answer(each).status == 200 for each in streams)
    # The Monitor's thread may hold one of the two for a moment, when the worker comes back.
    assert sorted(application.paths[1:3]) == ["/many/0", "/one"]
    assert application.paths[3] == "/many/1"


class Kinds(Gated):
    """Begins what paths say. All other requests are those of `Gated`."""

    def __call__(self, environ: Environ, start: Start) -> list[bytes]:
        offer = {
            "/websocket": lambda: environ["rocket.websocket"].accept(self),
            "/events": environ["rocket.events"].open,
            "/deferred": environ["rocket.deferred"].hold,
            "/large": lambda: bytes(100_000),
        }.get(environ["PATH_INFO"])
        if offer is None:
            return super().__call__(environ, start)
        begun = offer()
        start("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")])
        return [begun] if isinstance(begun, bytes) else []

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        """Do nothing."""


def test_the_streams_of_a_connection_are_counted_by_kind(serve: Serve, connect: Connect) -> None:
    application = Kinds()
    served = serve(application, h2c=True, threads=1)

    def kinds() -> tuple[int | None, dict[str, int]]:
        (info,) = served.server.list_connections()
        return info.streams, info.stream_kinds

    client = connect(served, gives_credit=False)
    client.until(lambda: client.h2.remote_settings.enable_connect_protocol)
    assert kinds() == (0, {})
    version = [("sec-websocket-version", "13")]
    client.begin("/websocket", "CONNECT", version, end=False, protocol="websocket")
    for path in ("/events", "/events", "/deferred", "/large"):
        client.begin(path)
    parked = {"finishing": 1, "websocket": 1, "event stream": 2, "deferred answer": 1}
    eventually(lambda: kinds() == (5, parked), f"for {parked}")
    for _ in range(4):
        client.begin("/hold")
    uploads = [client.begin("/upload", "POST", end=False) for _ in range(2)]
    wanted = parked | {"running": 1, "waiting": 3, "arriving": 2}
    eventually(lambda: kinds() == (11, wanted), f"for {wanted}")
    for each in uploads:
        client.reset(each)
    application.gate.set()
    client.h2.increment_flow_control_window(100_000)  # of the connection
    client.flush()
    eventually(lambda: kinds() == (5, parked), f"for {parked}")


def test_more_requests_than_threads_wait_without_one(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=2, server={"max_queue": 500})
    client = connect(served)
    streams = [client.begin(f"/hold/{number}") for number in range(100)]
    eventually(lambda: len(application.paths) == 2)
    application.gate.set()
    assert {client.answer(each).status for each in streams} == {200}
    assert len(application.paths) == 100


def test_a_stream_that_is_reset_before_its_turn_is_not_served(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    application = Gated()
    log = AccessLog(tmp_path / "log", "{target} {status}")
    served = serve(application, h2c=True, threads=1, access_log=log)
    client = connect(served)
    first = client.begin("/hold")
    eventually(lambda: application.paths == ["/hold"])
    others = [client.begin(f"/reset/{number}") for number in range(5)]
    eventually(lambda: queued(served) == 1)
    for each in others:
        client.reset(each)
    last = client.begin("/last")
    eventually(lambda: set(targets(served)) - {"/reset/0"} == {"/hold", "/last"})
    application.gate.set()
    assert client.answer(first).status == 200
    assert client.answer(last).text == "/last"
    assert [path for path in application.paths if "/reset/" in path] == []
    served.stop()
    log.close()
    lines = sorted((tmp_path / "log").read_text(encoding="ascii").splitlines())
    assert lines == ["/hold 200", "/last 200", *(f"/reset/{number} -" for number in range(5))]


def test_a_part_of_a_response_is_sent_while_the_next_one_is_made(
    serve: Serve, connect: Connect
) -> None:
    gate = threading.Event()

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", [])
        yield b"first"
        assert gate.wait(PATIENCE)
        yield b"second"

    client = connect(serve(application, h2c=True))
    stream = client.begin()
    client.until(lambda: client.answers[stream].body == b"first")
    gate.set()
    assert client.answer(stream).body == b"firstsecond"


def test_a_response_is_sent_while_the_next_stream_takes_its_time(
    serve: Serve, connect: Connect
) -> None:
    application = Gated()
    client = connect(serve(application, h2c=True, threads=1))
    quick = client.begin("/quick", flush=False)
    slow = client.begin("/hold", flush=False)
    client.flush()
    assert client.answer(quick).text == "/quick"  # which was left to the other one
    application.gate.set()
    assert client.answer(slow).text == "/hold"


def test_a_response_is_sent_before_its_result_is_closed(serve: Serve, connect: Connect) -> None:
    gate = threading.Event()

    class Closing(list[bytes]):
        def close(self) -> None:
            assert gate.wait(PATIENCE)

    def application(environ: Environ, start: Start) -> Closing:
        start("200 OK", [])
        return Closing([b"before"])

    client = connect(serve(application, h2c=True))
    assert client.get().text == "before"
    gate.set()


# -- the client's windows --------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "size"), [(1, 300), (1000, 300_000), (100_000, 3 * MEBIBYTE)])
def test_a_response_fits_into_any_window(
    serve: Serve, connect: Connect, window: int, size: int
) -> None:
    client = connect(serve(body_of(size), h2c=True), window=window)
    assert len(client.get().body) == size


def test_large_bodies_go_both_ways(serve: Serve, connect: Connect) -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        body = environ["wsgi.input"].read()
        start("200 OK", [("X-Length", environ["CONTENT_LENGTH"])])
        return [body]

    body = bytes(range(256)) * 16 * 1024
    client = connect(serve(application, h2c=True), window=20_000)
    stream = client.begin("/", "POST", end=False)
    client.send(stream, body)
    answer = client.answer(stream)
    assert answer["x-length"] == str(len(body))
    assert answer.body == body


def generates(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [])
    return (b"x" * 16_384 for _ in range(200))


@pytest.mark.parametrize("application", [body_of(3_276_800), generates])
def test_clients_that_read_nothing_hold_no_thread(
    serve: Serve, connect: Connect, application: Any
) -> None:
    served = serve(application, h2c=True, threads=2)
    slow = connect(served, gives_credit=False)
    streams = [slow.begin() for _ in range(20)]
    for each in streams[:3]:
        slow.until(partial(getattr, slow.answers[each], "status"))
    other = connect(served)
    for _ in range(5):
        assert len(other.get().body) == 3_276_800
    slow.gives_credit = True
    for each in streams:
        if slow.answers[each].body:
            slow.credit(each, len(slow.answers[each].body))
    for each in streams:
        assert len(slow.answer(each).body) == 3_276_800


def test_a_part_larger_than_what_may_wait_is_begun(serve: Serve, connect: Connect) -> None:
    """Its worker waits, and no other thread would send what the windows of the client allow."""

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", [])
        size = STREAM_BOUND + 1 if environ["PATH_INFO"] == "/large" else 1
        return iter([bytes(size)])

    served = serve(application, h2c=True)

    def is_begun(scale: float) -> None:
        del scale  # since the time is one of the server's
        client = connect(served, gives_credit=False)
        assert client.get("/small").status == 200  # so that no frame of the client is on its way
        stream = client.begin("/large")
        with within(PREFACE_TIMEOUT / 2):  # after all of it, the server looks in any case
            client.until(lambda: len(client.answers[stream].body) == 65_534)
        client.credit(stream, STREAM_BOUND)
        assert len(client.answer(stream).body) == STREAM_BOUND + 1

    at_growing_scales(is_begun)


def test_a_file_is_sent_as_the_window_opens(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "large").write_bytes(content)
    before = descriptors()
    served = serve(Gated(), h2c=True, threads=1, static={"/static": StaticFiles(tmp_path)})
    client = connect(served, window=0)
    streams = [client.begin("/static/large") for _ in range(30)]
    for each in streams:
        client.until(partial(getattr, client.answers[each], "status"))
    assert connect(served).get("/").status == 200  # on the only thread
    for each in streams:
        client.h2.increment_flow_control_window(len(content), each)
    client.flush()
    assert all(client.answer(each).body == content for each in streams)
    client.close()
    eventually(lambda: descriptors() <= before + 20)


def test_a_file_that_is_reset_in_its_midst_is_closed(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(MEBIBYTE))
    served = serve(Gated(), h2c=True, static={"/static": StaticFiles(tmp_path)})
    client = connect(served, window=1000)
    assert client.get("/").status == 200
    before = descriptors()
    streams = [client.begin("/static/large") for _ in range(10)]
    client.gives_credit = False
    for each in streams:
        client.until(partial(getattr, client.answers[each], "body"))
    assert descriptors() == before + 10
    for each in streams:
        client.reset(each)
    eventually(lambda: descriptors() == before)
    (connection,) = served.server._registry.snapshot()
    assert connection.shared is not None
    protocol: Any = connection.shared.protocol
    eventually(lambda: not protocol._session.streams)  # their slots are free again


def test_a_file_that_ends_after_its_application_frees_its_slot(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    content = bytes(200_000)
    (tmp_path / "large").write_bytes(content)
    served = serve(Gated(), h2c=True, static={"/static": StaticFiles(tmp_path)})
    client = connect(served, gives_credit=False)
    stream = client.begin("/static/large")
    client.until(lambda: client.answers[stream].body)
    eventually(lambda: not targets(served))
    (connection,) = served.server._registry.snapshot()
    assert connection.shared is not None
    assert connection.shared.protocol.streams() == 1
    client.credit(stream, len(content))
    assert client.answer(stream).body == content
    assert connection.shared.protocol.streams() == 0


def test_a_file_for_a_stream_that_was_reset_is_closed(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    """It is reset while the application opens the file."""
    path = tmp_path / "large"
    path.write_bytes(bytes(MEBIBYTE))
    called = threading.Semaphore(0)
    before: list[int] = []

    def application(environ: Environ, start: Start) -> Any:
        start("200 OK", [("Content-Length", str(MEBIBYTE))])
        if environ["PATH_INFO"] == "/other":
            return [bytes(MEBIBYTE)]
        called.release()
        eventually(environ["rocket.client_gone"])
        before.append(descriptors())
        return environ["wsgi.file_wrapper"](path.open("rb"))

    served = serve(application, h2c=True, threads=1)
    client = connect(served)
    for _ in range(3):
        stream = client.begin()
        assert called.acquire(timeout=PATIENCE)
        client.reset(stream)
        assert len(client.get("/other").body) == MEBIBYTE  # on the only thread, behind the file
    assert before == [before[0]] * 3


# -- ends of streams and connections ---------------------------------------------------------------


def test_an_application_hears_at_once_of_a_reset(serve: Serve, connect: Connect) -> None:
    heard = threading.Event()

    def application(environ: Environ, start: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/":
            eventually(environ["rocket.client_gone"])
            heard.set()
        start("200 OK", [])
        return [b"done"]

    client = connect(serve(application, h2c=True))
    stream = client.begin("/")
    other = client.begin("/other")
    assert client.answer(other).text == "done"
    client.reset(stream)
    assert heard.wait(PATIENCE)
    assert client.get("/again").text == "done"


@pytest.mark.parametrize("generator", [False, True])
def test_a_worker_that_waits_for_a_window_hears_of_the_end(
    serve: Serve, connect: Connect, generator: bool
) -> None:
    ended = threading.Semaphore(0)

    def parts() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 65_536
        finally:
            ended.release()

    def application(environ: Environ, start: Start) -> Any:
        start("200 OK", [])
        return parts()

    served = serve(application, h2c=True, threads=2)
    client = connect(served, gives_credit=False)
    streams = [client.begin() for _ in range(3)]
    for each in streams:
        client.until(partial(getattr, client.answers[each], "status"))
    client.reset(streams[0])
    assert ended.acquire(timeout=PATIENCE)
    if generator:
        client.close()
        assert ended.acquire(timeout=PATIENCE)
        assert ended.acquire(timeout=PATIENCE)


def test_a_stream_that_has_to_give_way_ends_alone(serve: Serve, connect: Connect) -> None:
    def application(environ: Environ, start: Start) -> Any:
        if environ["PATH_INFO"] != "/quick":
            return generates(environ, start)
        start("200 OK", [])
        return [b"quick"]

    served = serve(application, h2c=True, threads=1, server={"max_stalled": 1})
    client = connect(served, gives_credit=False)
    client.h2.increment_flow_control_window(10 * MEBIBYTE)  # of the connection: the streams wait
    streams = [client.begin() for _ in range(2)]
    client.until(lambda: [client.answers[each].reset for each in streams].count(CANCEL) == 1)
    assert client.get("/quick").text == "quick"
    assert not client.goaways


def test_an_application_hears_that_its_stream_has_given_way(serve: Serve, connect: Connect) -> None:
    """As soon as its worker waits no more, and before it makes another part in vain."""
    heard: dict[str, list[bool]] = {"/1": [], "/2": []}

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", [])
        return parts(environ["rocket.client_gone"], heard[environ["PATH_INFO"]])

    def parts(gone: Callable[[], bool], found: list[bool]) -> Iterator[bytes]:
        for _ in range(50):
            yield bytes(65_536)
            found.append(gone())

    served = serve(application, h2c=True, threads=1, server={"max_stalled": 1})
    client = connect(served, gives_credit=False)
    client.h2.increment_flow_control_window(10 * MEBIBYTE)
    streams = {path: client.begin(path) for path in heard}
    answers = {path: client.answers[stream] for path, stream in streams.items()}
    client.until(lambda: [each.reset for each in answers.values()].count(CANCEL) == 1)
    (path,) = [path for path, answer in answers.items() if answer.reset == CANCEL]
    eventually(lambda: heard[path][-1])
    assert heard[path] == [False] * (len(heard[path]) - 1) + [True]


def test_the_slower_stream_gives_way(serve: Serve, connect: Connect) -> None:
    served = serve(generates, h2c=True, threads=1, server={"max_stalled": 1})
    client = connect(served, gives_credit=False)
    client.h2.increment_flow_control_window(10 * MEBIBYTE)
    quick = client.begin()
    client.until(lambda: len(client.answers[quick].body) == 65_535)
    client.h2.increment_flow_control_window(MEBIBYTE, quick)
    client.flush()
    client.until(lambda: len(client.answers[quick].body) > MEBIBYTE)
    eventually(lambda: served.server.statistics().stalled == 1)
    slow = client.begin()
    assert client.answer(slow).reset == CANCEL
    assert client.answers[quick].reset is None


def test_the_rate_of_a_body_is_that_of_its_stream(serve: Serve, connect: Connect) -> None:
    served = serve(Gated(), h2c=True)
    client = connect(served)
    streams = [client.begin("/body", "POST", end=False) for _ in range(2)]
    client.send(streams[0], bytes(200_000), end=False)
    (connection,) = served.server._registry.snapshot()
    assert connection.shared is not None
    protocol: Any = connection.shared.protocol
    eventually(lambda: len(protocol._exchanges) == 2)
    quick, slow = [protocol._exchanges[each] for each in streams]
    eventually(lambda: quick.request.spool.size == 200_000)
    now = monotonic()
    assert quick.pace(now) > 1000
    assert slow.pace(now) == 0
    assert quick.request.spool.pace(now) == quick.pace(now)


@pytest.mark.parametrize("late", ["at once", "in its midst"])
def test_an_upload_that_stops_is_answered(
    serve: Serve, connect: Connect, tmp_path: Path, late: str
) -> None:
    """As over HTTP/1.1, with 408; and what is left of it is not wanted (RFC 9113, section 8.1)."""
    path = tmp_path / "log"
    with AccessLog(path, "{method} {target} {status} {size} {error}") as log:
        timeouts = Timeouts(grace=0.2, minimum_rate=1e9)
        served = serve(Gated(), h2c=True, threads=1, access_log=log, timeouts=timeouts)
        client = connect(served)
        stream = client.begin("/upload", "POST", end=False)
        if late == "in its midst":
            client.send(stream, bytes(100_000), end=False)
        frames: list[tuple[int, int, int]] = []  # since `h2` hides what follows an end
        for kind, flags, number, payload in client.frames():
            if number == stream and kind != WINDOW_UPDATE:
                frames.append((kind, flags & END_STREAM, number_in(payload)))
                if kind == RST_STREAM:
                    break
        assert [each[:2] for each in frames] == [(HEADERS, 0), (DATA, END_STREAM), (RST_STREAM, 0)]
        assert frames[-1][2] == NO_ERROR
        state = served.server._server_state
        assert state.input.held == state.disk.held == 0
        assert served.server.statistics().own_responses == {"408": 1}
        served.stop()
    assert path.read_text(encoding="ascii") == (
        "POST /upload 408 53 the\\x20request\\x20did\\x20not\\x20arrive\\x20in\\x20time\n"
    )


def test_an_upload_that_stops_is_no_matter_of_other_streams(serve: Serve, connect: Connect) -> None:
    application = Gated()
    timeouts = Timeouts(grace=0.2, minimum_rate=1e9)
    client = connect(serve(application, h2c=True, timeouts=timeouts))
    held = client.begin("/hold")
    answer = client.get("/upload", "POST", end=False)
    assert (answer.status, answer.text) == (
        408,
        "Request Timeout: the request did not arrive in time.\n",
    )
    assert client.get("/other").text == "/other"
    application.gate.set()
    assert client.answer(held).text == "/hold"
    assert application.paths == ["/hold", "/other"]
    assert not client.goaways


def test_idle_connections_make_room(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, server={"max_connections": 3})
    busy = connect(served)
    stream = busy.begin("/hold")
    idle = [connect(served) for _ in range(2)]
    assert [client.get().status for client in idle] == [200, 200]
    assert connect(served).get().status == 200
    assert sum(client.closed or bool(_closes(client)) for client in idle[:1]) == 1
    application.gate.set()
    assert busy.answer(stream).text == "/hold"


def _closes(client: HTTP2Client) -> bool:
    while not client.closed:
        client.receive()
    return True


def test_a_failure_of_the_application_ends_one_stream(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: Environ, start: Start) -> Any:
        if environ["PATH_INFO"] == "/early":
            raise LookupError("early")
        start("200 OK", [])
        return late()

    def late() -> Iterator[bytes]:
        yield b"a part"
        raise LookupError("late")

    client = connect(serve(application, h2c=True))
    assert client.get("/early").status == 500
    answer = client.get("/late")
    assert (answer.status, answer.body, answer.reset) == (200, b"a part", INTERNAL_ERROR)
    assert client.get("/early").status == 500
    assert not client.goaways


def test_a_request_that_takes_too_long_ends_alone(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    application = Gated()
    served = serve(application, h2c=True, server={"request_timeout": 0.2})
    client = connect(served)
    stream = client.begin("/hold")
    assert client.answer(stream).status == 504
    assert client.get("/quick").text == "/quick"
    application.gate.set()
    assert client.get("/quick").text == "/quick"
    assert not client.goaways


def test_a_response_that_takes_too_long_is_broken_off_alone(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    def application(environ: Environ, start: Start) -> Any:
        start("200 OK", [])
        return parts() if environ["PATH_INFO"] == "/parts" else [b"quick"]

    def parts() -> Iterator[bytes]:
        yield b"first"
        assert gate.wait(PATIENCE)
        yield b"second"

    client = connect(serve(application, h2c=True, server={"request_timeout": 0.2}))
    answer = client.get("/parts")
    assert (answer.body, answer.reset) == (b"first", INTERNAL_ERROR)
    assert client.get("/quick").text == "quick"
    gate.set()


def test_an_application_hears_that_its_response_was_broken_off(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    heard = threading.Event()

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", [])
        return parts(environ["rocket.client_gone"])

    def parts(gone: Callable[[], bool]) -> Iterator[bytes]:
        yield b"first"
        assert not gone()
        eventually(gone)
        heard.set()

    client = connect(serve(application, h2c=True, server={"request_timeout": 0.2}))
    assert client.get().reset == INTERNAL_ERROR
    assert heard.wait(PATIENCE)


def test_requests_beyond_the_queue_are_refused(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=1, server={"max_queue": 2})
    clients = [connect(served) for _ in range(4)]
    held = clients[0].begin("/hold")
    eventually(lambda: application.paths == ["/hold"])
    streams = [(client, client.begin("/more")) for client in clients]
    answered: list[int] = []

    def refused() -> bool:
        for client, stream in streams:
            client._socket.settimeout(0.01)
            try:
                client.receive()
            except TimeoutError:
                pass
            finally:
                client._socket.settimeout(PATIENCE)
            answered.append(client.answers[stream].status)
        return answered[-4:].count(503) == 2

    eventually(refused)
    application.gate.set()
    assert clients[0].answer(held).status == 200
    assert sorted(client.answer(stream).status for client, stream in streams) == [
        200,
        200,
        503,
        503,
    ]


def test_urgent_requests_are_served_while_all_workers_are_busy(
    serve: Serve, connect: Connect
) -> None:
    application = Gated()
    served = serve(
        application,
        h2c=True,
        threads=1,
        reserved=lambda environ: environ["PATH_INFO"] == "/urgent",
        health="/healthz",
    )
    client = connect(served)
    held = client.begin("/hold")
    eventually(lambda: application.paths == ["/hold"])
    assert client.get("/urgent").text == "/urgent"
    assert client.get("/healthz").text == "ok\n"
    application.gate.set()
    assert client.answer(held).status == 200


@pytest.mark.parametrize("served_by", ["reserved", "static"])
def test_urgent_streams_overtake_others_of_their_connection(
    serve: Serve, connect: Connect, tmp_path: Path, served_by: str
) -> None:
    """A proxy may send all requests on one connection, those of a health check, too."""
    (tmp_path / "file").write_bytes(b"static")
    application = Gated()
    served = serve(
        application,
        h2c=True,
        threads=2,
        reserved=lambda environ: environ["PATH_INFO"].startswith("/urgent"),
        static={"/static": StaticFiles(tmp_path)},
    )
    client = connect(served)
    path, text = ("/urgent", "/urgent") if served_by == "reserved" else ("/static/file", "static")
    held = [client.begin(f"/hold/{number}") for number in range(20)]
    eventually(lambda: len(application.paths) == 2)
    urgent = [client.begin(path) for _ in range(3)]
    assert [client.answer(each).text for each in urgent] == [text] * 3
    assert len([each for each in application.paths if each.startswith("/hold")]) == 2
    reset = client.begin(path, flush=False)
    client.h2.reset_stream(reset, CANCEL)
    assert client.get(path).text == text
    eventually(lambda: queued(served) == 1)  # and no other one of the connection
    application.gate.set()
    assert {client.answer(each).status for each in held} == {200}
    assert len([each for each in application.paths if each.startswith("/hold")]) == 20


def test_urgent_streams_wait_where_all_lanes_are_held(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=1, reserved=lambda environ: True)
    client = connect(served)
    streams = [client.begin(f"/hold/{number}") for number in range(30)]
    eventually(lambda: len(application.paths) == 1 + LANES)
    application.gate.set()
    assert {client.answer(each).status for each in streams} == {200}
    assert sorted(application.paths) == sorted(f"/hold/{number}" for number in range(30))


def test_a_function_that_fails_to_tell_what_is_urgent_ends_nothing(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    application = Gated()

    def reserved(environ: Environ) -> bool:
        if environ["PATH_INFO"] == "/fails":
            raise LookupError("not known")
        return False

    served = serve(application, h2c=True, threads=1, reserved=reserved)
    client = connect(served)
    streams = [client.begin(path) for path in ("/hold/1", "/hold/2")]
    eventually(lambda: queued(served) == 1)
    fails = client.begin("/fails")
    eventually(lambda: "not known" in caplog.text)
    application.gate.set()
    assert {client.answer(each).status for each in streams} == {200}
    assert client.answer(fails).status == 200


def test_the_time_that_an_urgent_stream_has_waited(serve: Serve, connect: Connect) -> None:
    application = Gated()
    waited: list[float] = []

    def with_time(environ: Environ, start: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/urgent":
            waited.append(environ["rocket.queue_time"])
        return application(environ, start)

    served = serve(
        with_time,
        h2c=True,
        threads=1,
        reserved=lambda environ: environ["PATH_INFO"] == "/urgent",
    )
    client = connect(served)
    held = [client.begin(f"/hold/{number}") for number in range(2)]
    eventually(lambda: len(application.paths) == 1)
    began = time.monotonic()
    assert client.get("/urgent").status == 200
    assert 0 <= waited[0] < time.monotonic() - began
    application.gate.set()
    assert {client.answer(each).status for each in held} == {200}


def test_a_drain_lets_streams_finish(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True)
    client = connect(served)
    stream = client.begin("/hold")
    eventually(lambda: application.paths == ["/hold"])
    served.server.drain(PATIENCE)
    frames = client.frames()  # since `h2` takes nothing after the first GOAWAY
    seen: list[tuple[int, bytes]] = []
    for kind, flags, number, payload in frames:
        if kind == PING and not flags:
            client.send_raw(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            seen.append((kind, payload))
            if len(seen) == 2:
                application.gate.set()
        elif number == stream and kind == DATA:
            seen.append((kind, payload))
    last = stream.to_bytes(4, "big")
    assert seen == [
        (GOAWAY, b"\x7f\xff\xff\xff" + bytes(4)),
        (GOAWAY, last + bytes(4)),
        (DATA, b"/hold"),
    ]
    assert served.server.wait(PATIENCE)


def test_an_idle_connection_ends_after_its_time(serve: Serve, connect: Connect) -> None:
    def ends(scale: float) -> None:
        served = serve(Gated(), h2c=True, timeouts=Timeouts(keep_alive=0.3 * scale))
        client = connect(served)
        assert client.get().status == 200
        with within(30 * scale):
            while not client.closed:
                client.receive()
        assert client.goaways == [(1, NO_ERROR)]

    at_growing_scales(ends)


def test_a_stop_ends_connections(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True)
    client = connect(served)
    assert client.get().status == 200
    served.stop()
    while not client.closed:
        client.receive()


def test_a_broken_connection_leaves_nothing(serve: Serve, connect: Connect) -> None:
    application = Gated()
    served = serve(application, h2c=True, threads=2)
    client = connect(served)
    for number in range(5):
        client.begin(f"/hold/{number}")
    upload = client.begin("/upload", "POST", end=False)
    client.h2.send_data(upload, b"a part")
    client.flush()
    eventually(lambda: len(application.paths) == 2)
    client.close()
    eventually(lambda: not served.server.connections)
    application.gate.set()
    assert connect(served).get().status == 200
    eventually(lambda: application.gone == [True, True])
    assert len(application.paths) == 3


def test_what_a_broken_connection_has_left_is_logged_and_released(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    """Whether it was served, waited for its turn, or had not arrived."""
    application = Gated()
    path = tmp_path / "log"
    with AccessLog(path, "{target} {status} {error}") as log:
        served = serve(application, h2c=True, threads=1, access_log=log)
        client = connect(served)
        for number in range(4):
            client.begin(f"/hold/{number}")
        eventually(lambda: application.paths == ["/hold/0"])
        upload = client.begin("/upload", "POST", end=False)
        client.send(upload, bytes(100_000), end=False)
        budget = served.server._server_state.input
        eventually(lambda: budget.held >= 65_536)
        client.close()
        eventually(lambda: not served.server.connections)
        eventually(lambda: not budget.held)
        application.gate.set()
        served.stop()
    lines = sorted(path.read_text(encoding="ascii").splitlines())
    left = "- client\\x20closed"
    assert lines == [
        "/hold/0 200 the\\x20client\\x20is\\x20gone",
        *(f"/hold/{number} {left}" for number in (1, 2, 3)),
        f"/upload {left}",
    ]


def test_an_upload_for_which_there_is_no_room_is_refused_before_it_is_sent(
    serve: Serve,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    usage = SimpleNamespace(total=1 << 34, used=0, free=50 * MEBIBYTE)
    monkeypatch.setattr(disk_budget, "shutil", SimpleNamespace(disk_usage=lambda _: usage))
    served = serve(Gated(), h2c=True, server={"spool_free": 48 * MEBIBYTE})
    client = connect(served)
    for size, status in ((8 * MEBIBYTE, 503), (MEBIBYTE, 200)):
        stream = client.begin("/", "POST", [("content-length", str(size))], end=False)
        if status == 200:
            client.send(stream, bytes(size))
        answer = client.answer(stream)
        assert answer.status == status
        assert answer["retry-after"] == ("30" if status == 503 else "")
    assert not client.goaways


def test_a_violation_ends_the_connection_and_is_counted(serve: Serve, connect: Connect) -> None:
    served = serve(Gated(), h2c=True)
    client = connect(served)
    assert client.get().status == 200
    client._socket.sendall(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    while not client.closed:
        client.receive()
    assert client.goaways == [(1, 1)]
    eventually(lambda: served.server.statistics().outcomes == {"HTTP/2": {"PROTOCOL_ERROR": 1}})


def test_each_stream_has_the_client_for_which_a_proxy_sends_it(
    serve: Serve, connect: Connect
) -> None:
    """So a client that makes workers wait is told from others behind the same proxy."""
    application = Gated()
    served = serve(application, h2c=True, threads=4, trusted_proxies=["127.0.0.1"])
    client = connect(served)
    values = ("192.0.2.1", "192.0.2.2", "127.0.0.1", "")
    streams = [
        client.begin("/hold", fields=[("x-forwarded-for", value)] if value else [])
        for value in values
    ]
    eventually(lambda: len(application.paths) == 4)
    (connection,) = served.server._registry.snapshot()
    assert connection.shared is not None
    protocol: Any = connection.shared.protocol
    found = {number: exchange.client for number, exchange in protocol._exchanges.items()}
    assert [found[each] for each in streams] == ["192.0.2.1", "192.0.2.2", "", ""]
    application.gate.set()
    assert {client.answer(each).status for each in streams} == {200}


# -- which connections speak it --------------------------------------------------------------------


def test_without_the_setting_the_preface_is_refused(serve: Serve) -> None:
    served = serve(Gated())
    answer = served.exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert answer.status == 505


def test_the_preface_is_refused_after_another_request(serve: Serve) -> None:
    client = serve(Gated(), h2c=True).open()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.answer().status == 200
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert client.answer().status == 505


def test_an_upgrade_is_ignored(serve: Serve) -> None:
    answer = serve(Gated(), h2c=True).exchange(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    )
    assert answer.status == 200


def test_a_preface_may_arrive_in_pieces(serve: Serve, connect: Connect) -> None:
    served = serve(Gated(), h2c=True)
    client = served.open()
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
        client.send(bytes([byte]))
    client.send(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    assert client.read(9)[3] == 4  # SETTINGS


@pytest.mark.parametrize(
    ("options", "connection", "speaks"),
    [
        ({}, {}, False),
        ({"h2c": True}, {}, True),
        ({"h2c": True}, {"local": Peer("::1", 80)}, True),
        ({"h2c": True}, {"local": Peer("/run/socket", 0)}, True),
        ({"h2c": True}, {"local": Peer("192.0.2.1", 80)}, False),
        (
            {"h2c": True, "trusted_proxies": ["192.0.2.0/24"]},
            {"local": Peer("192.0.2.1", 80), "peer": Peer("192.0.2.2", 1)},
            True,
        ),
        (
            {"h2c": True, "trusted_proxies": ["192.0.2.0/24"]},
            {"local": Peer("192.0.2.1", 80), "peer": Peer("198.51.100.1", 1)},
            False,
        ),
        (
            {"h2c": True, "trusted_proxies": ["192.0.2.0/24"]},
            {"peer": Peer("198.51.100.1", 1), "proxy": Peer("192.0.2.2", 1)},
            True,
        ),
        (
            {"h2c": True, "trusted_proxies": ["192.0.2.0/24"]},
            {"peer": Peer("192.0.2.2", 1), "proxy": Peer("198.51.100.1", 1)},
            False,
        ),
        (
            {"h2c": True, "trusted_proxies": ["192.0.2.0/24"]},
            {"peer": Peer("198.51.100.1", 1), "proxy": Peer("192.0.2.2", 1), "secure": True},
            True,
        ),
        (
            {"h2c": True, "trusted_proxies": ["192.0.2.0/24"]},
            {"proxy": Peer("192.0.2.2", 1), "secure": True, "environ": {"HTTPS": "on"}},
            False,
        ),
        ({"h2c": True}, {"secure": True}, False),
        ({}, {"secure": True, "protocol": "h2"}, True),
        ({"h2c": True}, {"secure": True, "protocol": "http/1.1"}, False),
    ],
)
def test_who_may_speak_it(
    options: dict[str, Any], connection: dict[str, Any], speaks: bool
) -> None:
    local = {
        "local": Peer("127.0.0.1", 80),
        "peer": Peer("127.0.0.1", 1),
        "proxy": None,
        "protocol": "",
        "environ": None,
        "secure": False,
    }
    site = Site(Gated(), **options)
    fake: Any = SimpleNamespace(**{**local, **connection})
    assert site.speaks_http2(fake) is speaks


def test_each_request_is_logged(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "access")
    log = AccessLog(
        logging.getLogger("access"), "{method} {target} {protocol} {status} {size} {requests}"
    )
    served = serve(Gated(), h2c=True, access_log=log)
    client = connect(served)
    for path in ("/a", "/b"):
        assert client.get(path).status == 200
    client.get("/c", "POST", fields=[("content-type", "a\x00b")])
    served.stop()
    log.close()
    assert [record.getMessage() for record in caplog.records][:2] == [
        "GET /a HTTP/2 200 2 1",
        "GET /b HTTP/2 200 2 2",
    ]

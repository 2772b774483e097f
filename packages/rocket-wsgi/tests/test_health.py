"""The health check that the server answers without the application."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from conftest import Serve
from rocket_core import Connection, Lifecycle, State, Timeouts
from rocket_core.testing import at_growing_scales, eventually, within
from rocket_wsgi import AccessLog, WSGIWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from served import Served

Environ = dict[str, Any]
CHECK = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def path(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


class Gate:
    """An application that returns when `go_on` is set."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        self.entered.release()
        self.go_on.wait(30)
        return path(environ, start_response)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go_on.set()


def wait_for_drain(client: Served) -> None:
    eventually(lambda: client.server.lifecycle is Lifecycle.DRAINING)


def test_health_must_be_a_path() -> None:
    with pytest.raises(ValueError, match="health 'healthz' is not a path; it must begin with /"):
        WSGIWorker(path, health="healthz")


def test_no_health_check_without_the_setting(serve: Serve) -> None:
    assert serve(path).get("/healthz").body == b"/healthz"


def test_a_health_check_is_answered(serve: Serve) -> None:
    client = serve(path, health="/healthz")
    answer = client.exchange(CHECK)
    assert (answer.status, answer.body, answer["Cache-Control"]) == (200, b"ok\n", "no-store")
    assert client.get("/healthz?verbose").status == 200
    assert client.get("/healthz/more").body == b"/healthz/more"


def test_a_health_check_by_head(serve: Serve) -> None:
    client = serve(path, health="/healthz")
    stream = client.open()
    stream.send(CHECK.replace(b"GET", b"HEAD") + b"GET / HTTP/1.0\r\n\r\n")
    answer = stream.answer("HEAD")
    assert (answer.status, answer["Content-Length"]) == (200, "3")
    assert stream.answer().body == b"/"


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_other_methods_are_answered_405(serve: Serve, method: str) -> None:
    answer = serve(path, health="/healthz").get("/healthz", method)
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD")


def test_a_body_is_not_taken_for_the_next_request(serve: Serve) -> None:
    client = serve(path, health="/healthz")
    inner = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
    stream = client.open()
    stream.send(CHECK[:-2] + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
    assert stream.answer()["Connection"] == "close"
    assert stream.read_all() == b""


def test_malformed_requests_are_refused(serve: Serve) -> None:
    client = serve(path, health="/healthz")
    assert client.exchange(b"GET /healthz HTTP/1.1\r\n\r\n").status == 400


def test_connection_is_kept(serve: Serve) -> None:
    """The check arrives whole, in pieces, after another request, and before one."""
    client = serve(path, health="/healthz")
    stream = client.open()
    stream.send(CHECK)
    assert stream.answer().body == b"ok\n"
    stream.send(CHECK[:10])
    eventually(lambda: client.server.statistics().connections.get("head"))
    stream.send(CHECK[10:])
    assert stream.answer().body == b"ok\n"
    other = CHECK.replace(b"healthz", b"other")
    stream.send(other + CHECK + CHECK + other + CHECK)
    assert [stream.answer().body for _ in range(5)] == [
        b"/other",
        b"ok\n",
        b"ok\n",
        b"/other",
        b"ok\n",
    ]
    assert client.server.statistics().requests == 2


def test_http_1_0(serve: Serve) -> None:
    stream = serve(path, health="/healthz").open()
    stream.send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert stream.answer()["Connection"] == "close"
    assert stream.read_all() == b""


@pytest.mark.parametrize("narrow", [False, True])
def test_thousands_at_once(serve: Serve, narrow: bool) -> None:
    """The client reads no answer before it has sent all checks."""
    client = serve(path, health="/healthz", narrow=narrow)
    stream = client.open(receive_buffer=4096)
    count = 5000
    sender = threading.Thread(target=stream.send, args=(CHECK * count,))
    sender.start()
    assert all(stream.answer().body == b"ok\n" for _ in range(count))
    sender.join(30)
    assert client.server.statistics().threads == 2


def test_time_for_another_request_begins_anew() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, timeouts=Timeouts(keep_alive=50))
        connection.deadline = 0.0
        theirs.sendall(CHECK)
        before = time.monotonic()
        assert WSGIWorker(path, health="/healthz").receive(connection) is State.IDLE
        assert before + 50 <= connection.deadline <= time.monotonic() + 50


def test_all_workers_busy(serve: Serve, gate: Gate) -> None:
    client = serve(gate, health="/healthz", threads=2)
    busy = [client.open() for _ in range(4)]
    for stream in busy:
        stream.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(2):
        assert gate.entered.acquire(timeout=30)
    kept = client.open()
    for _ in range(3):
        kept.send(CHECK)
        assert kept.answer().body == b"ok\n"
        assert client.get("/healthz", "HEAD").status == 200
    gate.go_on.set()
    assert all(stream.answer().body == b"/busy" for stream in busy)


def test_health_checks_do_not_wait_in_the_queue(serve: Serve) -> None:
    """Workers that always find a request in the queue do not poll."""
    at_growing_scales(partial(check_a_busy_server, serve))


def check_a_busy_server(serve: Serve, scale: float) -> None:
    served = 0

    def compute(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        nonlocal served
        until = time.thread_time() + 0.02 * scale
        while time.thread_time() < until:
            pass
        served += 1
        return path(environ, start_response)

    client = serve(compute, health="/healthz", threads=1)
    check = client.open()
    check.send(CHECK)
    assert check.answer().body == b"ok\n"
    busy = [client.open() for _ in range(100)]
    for stream in busy:
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    busy[0].answer()
    with within(0.5 * scale):
        check.send(CHECK)
        assert check.answer().body == b"ok\n"
        assert served < 50
    for stream in busy[1:]:
        assert stream.answer().body == b"/"


def test_drain(serve: Serve, gate: Gate) -> None:
    """A check whose head has arrived in part when the drain begins."""
    client = serve(gate, health="/healthz")
    busy, late = client.open(), client.open()
    busy.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gate.entered.acquire(timeout=30)
    late.send(CHECK[:20])
    eventually(lambda: client.server.statistics().connections.get("head"))
    client.server.drain(30)
    wait_for_drain(client)
    late.send(CHECK[20:])
    answer = late.answer()
    assert (answer.status, answer["Connection"], answer["Cache-Control"]) == (
        503,
        "close",
        "no-store",
    )
    gate.go_on.set()
    assert busy.answer().body == b"/busy"


def test_not_logged(serve: Serve, tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log", "{target}")
    client = serve(path, health="/healthz", access_log=log)
    client.get("/healthz")
    client.get("/other")
    client.stop()
    log.close()
    assert (tmp_path / "access.log").read_text() == "/other\n"

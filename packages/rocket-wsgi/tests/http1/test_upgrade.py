"""Connections that a WSGI application takes over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from client import Client, Stream
from conftest import Serve
from rocket_wsgi import AccessLog

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


def eventually(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def echo(environ: Environ) -> None:
    sock = environ["rocket.socket"]
    sock.sendall(SWITCH)
    while data := sock.recv(100):
        sock.sendall(data)


def take(client: Client) -> Stream:
    stream = client.open()
    stream.send(UPGRADE)
    assert stream.head()[1] == 101
    stream.send(b"hello\n")
    assert stream._reader.readline() == b"hello\n"
    return stream


def returns(environ: Environ, start_response: Start) -> list[bytes]:
    echo(environ)
    return []


def answers(environ: Environ, start_response: Start) -> list[bytes]:
    echo(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a response that nobody must see"]


def writes(environ: Environ, start_response: Start) -> list[bytes]:
    echo(environ)
    start_response("200 OK", [])(b"what nobody must see")
    return []


def generates(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [])
    echo(environ)
    yield b"what nobody must see"


def stops(environ: Environ, start_response: Start) -> list[bytes]:
    echo(environ)
    raise StopIteration


def drops(environ: Environ, start_response: Start) -> list[bytes]:
    echo(environ)
    raise ConnectionError


def closes(environ: Environ, start_response: Start) -> list[bytes]:
    echo(environ)
    environ["werkzeug.socket"].close()
    return []


@pytest.mark.parametrize("application", [returns, answers, writes, generates, stops, drops, closes])
def test_the_connection_ends_however_the_application_ends(
    serve: Serve, application: Any, caplog: pytest.LogCaptureFixture
) -> None:
    log = AccessLog(logging.getLogger("access"))
    caplog.set_level(logging.INFO, "access")
    client = serve(application, access_log=log, threads=1)
    stream = take(client)
    assert client.get("/", "OPTIONS").status in (200, 500)  # served by the one that replaces it
    assert client.server.statistics().connections["upgraded"] == 1
    stream.socket.shutdown(1)
    assert stream.rest() == b""
    eventually(lambda: "upgraded" not in client.server.statistics().connections)
    assert client.server.statistics().stalled == 0
    client.stop()
    log.close()
    lines = [each.getMessage() for each in caplog.records if each.name == "access"]
    taken = [line for line in lines if '"GET /ws HTTP/1.1"' in line]
    assert len(taken) == 1
    assert f'" 101 {len(SWITCH) + 6} ' in taken[0]
    assert not [r for r in caplog.records if r.exc_info and "/ws" in r.getMessage()]


def test_an_application_that_fails_is_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        environ["rocket.socket"].sendall(SWITCH)
        raise RuntimeError("in the midst of it")

    client = serve(application)
    stream = client.open()
    stream.send(UPGRADE)
    assert stream.head()[1] == 101
    assert stream.rest() == b""
    client.stop()
    assert "GET /ws: the application failed" in caplog.text
    assert "in the midst of it" in caplog.text


def test_a_client_that_disconnects_during_an_upgrade(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(returns)
    take(client).close()
    eventually(lambda: not client.server.statistics().connections)
    assert not caplog.records


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        UPGRADE[:-2] + b"Content-Length: 1\r\n\r\nx",
    ],
)
def test_other_requests_are_not_offered_a_socket(serve: Serve, request_head: bytes) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        assert "rocket.socket" not in environ
        assert "werkzeug.socket" not in environ
        start_response("200 OK", [])
        return [b"fine"]

    assert serve(application).exchange(request_head).body == b"fine"


def test_an_offer_that_is_not_accepted_changes_nothing(serve: Serve) -> None:
    kept: list[Any] = []

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        kept.append(environ["rocket.socket"])
        start_response("200 OK", [])
        return [b"a page"]

    client = serve(application)
    stream = client.open()
    for _ in range(2):
        stream.send(UPGRADE)
        assert stream.answer().body == b"a page"
    with pytest.raises(OSError, match="the connection is closed"):
        kept[0].sendall(b"too late")


def test_a_response_that_has_begun_ends_the_offer(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        try:
            environ["rocket.socket"].sendall(b"in the midst of a response")
        except OSError:
            yield b"b"

    stream = serve(application).open()
    stream.send(UPGRADE)
    assert stream.answer().body == b"ab"


def test_a_drain_ends_an_idle_upgraded_connection(serve: Serve) -> None:
    client = serve(returns)
    stream = take(client)
    client.server.drain()
    assert stream.rest() == b""
    assert client.server.wait(30)


def test_the_time_limit_of_requests_does_not_apply_to_upgrades(serve: Serve) -> None:
    leave = threading.Event()

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/ws":
            return returns(environ, start_response)
        assert leave.wait(30)
        start_response("200 OK", [])
        return []

    client = serve(application, server={"request_timeout": 0.2})
    stream = take(client)
    assert client.get("/slow").status == 504  # its time was looked at, and it began later
    stream.send(b"still there\n")
    assert stream._reader.readline() == b"still there\n"
    leave.set()

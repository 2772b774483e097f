"""Whole requests over real connections."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest

from conftest import Serve
from rocket_core import Timeouts
from rocket_core.testing import at_growing_scales, eventually, within
from rocket_wsgi import WSGIWorker
from served import Served

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def wait_for_state(client: Served, state: str) -> None:
    eventually(lambda: client.server.statistics().connections.get(state))


def echo(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [environ["wsgi.input"].read()]


def path(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


def digest(environ: Environ, start_response: Start) -> list[bytes]:
    found = hashlib.sha256()
    while block := environ["wsgi.input"].read(65536):
        found.update(block)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['CONTENT_LENGTH']} {found.hexdigest()}".encode()]


def test_the_application_must_be_callable() -> None:
    with pytest.raises(TypeError, match="not callable"):
        WSGIWorker(7)  # type: ignore[arg-type]


def test_environ(serve: Serve) -> None:
    seen: list[Environ] = []

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        seen.append(environ)
        return path(environ, start_response)

    client = serve(application, multithread=False)
    stream = client.open()
    stream.send(GET)
    assert stream.answer().body == b"/"
    (environ,) = seen
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(client.address.port)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REMOTE_PORT"] == str(stream.socket.getsockname()[1])
    assert environ["SCRIPT_NAME"] == ""
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.multithread"] is False
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert environ["wsgi.input"].read() == b""
    assert "CONTENT_LENGTH" not in environ


def test_validated_by_the_standard_library(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        body = environ["wsgi.input"].read(5) + environ["wsgi.input"].readline()
        yield from (body, b"-", b"".join(environ["wsgi.input"]))

    client = serve(validator(application))
    body = b"0123456789\nline\nrest"
    framed = [
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    ]
    for each in framed:
        stream = client.open()
        stream.send(b"POST /p?q HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\n" + each)
        assert stream.answer().body == b"0123456789\n-line\nrest"
    assert client.get("/x", "HEAD").status == 200
    assert client.get("/x", "DELETE").body == b"-"
    assert "Traceback" not in caplog.text


def test_input_methods(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [])
        body = environ["wsgi.input"]
        found = [body.readline(), body.readline(2), body.read(3), *body.readlines(), body.read(9)]
        return [repr(found).encode()]

    client = serve(application)
    for size in (20, 200_000):
        tail = b"z" * size
        data = b"one\ntwo three\nfour\n" + tail
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data)
        expected = [b"one\n", b"tw", b"o t", b"hree\n", b"four\n", tail, b""]
        assert client.exchange(head + data).body == repr(expected).encode()


@pytest.mark.parametrize("size", [1, 64 * 1024, 64 * 1024 + 1, 5_000_000])
def test_uploads(serve: Serve, size: int) -> None:
    client = serve(digest)
    body = bytes(range(251)) * (size // 251 + 1)
    body = body[:size]
    expected = f"{size} {hashlib.sha256(body).hexdigest()}".encode()
    stream = client.open()
    stream.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    stream.send(body)
    assert stream.answer().body == expected
    stream.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for at in range(0, size, 70_000):
        piece = body[at : at + 70_000]
        stream.send(b"%X\r\n" % len(piece) + piece + b"\r\n")
    stream.send(b"0\r\n\r\n")
    assert stream.answer().body == expected


@pytest.mark.parametrize("end", ["served", "client gone", "refused"])
def test_the_memory_of_an_upload_is_released(serve: Serve, end: str) -> None:
    client = serve(digest)
    stream = client.open()
    stream.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    stream.send(b"20000\r\n" + bytes(0x20000))
    budget = client.server._server_state.input
    while budget.held < 0x20000:
        time.sleep(0.001)
    if end == "served":
        stream.send(b"\r\n0\r\n\r\n")
        assert stream.answer().status == 200
    elif end == "refused":
        stream.send(b"xx")
        assert stream.answer().status == 400
    else:
        stream.close()
    while budget.held:
        time.sleep(0.001)


def test_keep_alive(serve: Serve) -> None:
    client = serve(path)
    modern, old = client.open(), client.open()
    for number in range(3):
        modern.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        assert modern.answer().body == b"/%d" % number
        old.send(b"GET /%d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" % number)
        answer = old.answer()
        assert (answer.body, answer["Connection"]) == (b"/%d" % number, "keep-alive")
    modern.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert modern.answer()["Connection"] == "close"
    assert modern.read_all() == b""
    old.send(b"GET /x HTTP/1.0\r\n\r\n")
    assert old.answer()["Connection"] == "close"
    assert old.read_all() == b""


def test_pipelining_in_order(serve: Serve) -> None:
    stream = serve(path).open()
    count = 500
    stream.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(count)))
    for number in range(count):
        assert stream.answer().body == b"/%d" % number


@pytest.mark.parametrize("half_close", [False, True])
def test_pipelining_behind_a_response_that_is_not_taken_at_once(
    serve: Serve, half_close: bool
) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * int(environ["QUERY_STRING"] or 5)]

    client = serve(application, threads=1, narrow=True)
    stream = client.open(receive_buffer=16 * 1024)
    stream.send(b"GET /?260000 HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 3)
    if half_close:
        stream.socket.shutdown(socket.SHUT_WR)
    wait_for_state(client, "sending")
    assert len(stream.answer().body) == 260_000
    assert [stream.answer().body for _ in range(3)] == [b"xxxxx"] * 3


def test_the_end_of_a_half_closed_connection(serve: Serve) -> None:
    stream = serve(path).open()
    stream.send(GET)
    stream.socket.shutdown(socket.SHUT_WR)
    assert stream.answer().body == b"/"
    assert stream.read_all() == b""


def test_closing_with_unread_input_loses_nothing(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * 260_000]

    client = serve(application, narrow=True)
    stream = client.open(receive_buffer=16 * 1024)
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + b"y" * 30_000)
    wait_for_state(client, "sending")
    assert len(stream.answer().body) == 260_000
    assert stream.read_all() == b""


def test_pipelining_with_bodies(serve: Serve) -> None:
    stream = serve(echo).open()
    one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    two = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
    stream.send((one + two + GET) * 50)
    for _ in range(50):
        assert [stream.answer().body for _ in range(3)] == [b"abc", b"de", b""]


def test_a_request_in_single_bytes(serve: Serve) -> None:
    stream = serve(echo, threads=1).open()
    request = b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for byte in request + b"3\r\nabc\r\n0\r\nX: y\r\n\r\n":
        stream.send(bytes([byte]))
    assert stream.answer().body == b"abc"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 12_000, 431),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br, chunked\r\n\r\n", 501),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nB\r\n", 413),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ],
)
def test_malformed_requests(
    serve: Serve, caplog: pytest.LogCaptureFixture, request_: bytes, status: int
) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        raise AssertionError("a malformed request reached the application")

    stream = serve(application, threads=1, max_body=10).open()
    stream.send(request_ + GET)
    answer = stream.answer()
    assert answer.status == status
    assert answer["Connection"] == "close"
    assert answer.body.startswith(answer.reason.encode())
    assert stream.read_all() == b""  # what follows is never looked at
    assert not caplog.records


def test_continue(serve: Serve) -> None:
    stream = serve(echo).open()
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    for _ in range(2):
        stream.send(head)
        assert stream.head().status == 100
        stream.send(b"abc")
        assert stream.answer().body == b"abc"
    stream.send(head + b"abc")  # RFC 9110, 10.1.1: may be omitted when the body is here
    assert stream.answer().body == b"abc"


def test_an_unread_body_does_not_disturb_the_next_request(serve: Serve) -> None:
    stream = serve(path).open()
    for size in (10, 100_000):
        stream.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        stream.send(b"G" * size + GET)
        assert [stream.answer().body for _ in range(2)] == [b"/a", b"/"]


def test_the_client_of_a_refused_large_body_receives_the_answer(serve: Serve) -> None:
    stream = serve(echo, max_body=10).open()
    stream.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
    stream.send(b"x" * 3_000_000)
    stream.socket.shutdown(socket.SHUT_WR)
    assert stream.answer().status == 413
    assert stream.read_all() == b""


def test_slow_requests_are_answered_408(serve: Serve) -> None:
    timeouts = Timeouts(head=0.3, grace=0.3, keep_alive=60)
    client = serve(echo, timeouts=timeouts)
    for start in (b"GET / HT", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"):
        stream = client.open()
        stream.send(start)
        answer = stream.answer()
        assert (answer.status, answer["Connection"]) == (408, "close")
        assert stream.read_all() == b""


def test_an_idle_connection_is_closed_without_an_answer(serve: Serve) -> None:
    def closed(scale: float) -> None:
        limit = 0.3 * scale
        client = serve(echo, timeouts=Timeouts(keep_alive=limit))
        with within(limit):
            stream = client.open()
            stream.send(GET)
            stream.answer()
        assert stream.read_all() == b""

    at_growing_scales(closed)


def test_slow_clients_occupy_no_thread(serve: Serve) -> None:
    client = serve(echo, threads=1)
    starts = [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ]
    slow = [(client.open(), start) for start in starts * 10]
    for stream, start in slow:
        stream.send(start)
        assert client.get().status == 200
    ends = [GET, b"Host: a\r\n\r\n", b"12345678", b"cde\r\n0\r\n\r\n"]
    for (stream, _), end in zip(slow, ends * 10, strict=True):
        stream.send(end)
        assert stream.answer().status == 200


def test_slow_readers_occupy_no_thread(serve: Serve) -> None:
    body = b"x" * 8_000_000

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [])
        return [body if environ["PATH_INFO"] == "/large" else b"small"]

    client = serve(application, threads=1)
    slow = [client.open() for _ in range(5)]
    for stream in slow:
        stream.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.get().body == b"small"
    for stream in slow:
        assert stream.answer().body == body


def test_activities_name_the_request_of_each_thread(serve: Serve) -> None:
    entered, leave = threading.Event(), threading.Event()

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        entered.set()
        assert leave.wait(30)
        return path(environ, start_response)

    client = serve(application)
    stream = client.open()
    stream.send(b"PUT /a%20b?c HTTP/1.1\r\nHost: x\r\n\r\n")
    assert entered.wait(30)
    first, *others = client.server.activities()
    assert first.doing == "PUT /a%20b?c"
    assert {each.doing for each in others} == {""}
    leave.set()
    assert stream.answer().body == b"/a b"


def test_responses_during_a_drain_say_close(serve: Serve) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        entered.set()
        assert go_on.wait(30)
        return path(environ, start_response)

    client = serve(application)
    idle, busy = client.open(), client.open()
    go_on.set()
    idle.send(GET)
    idle.answer()
    entered.clear()
    go_on.clear()
    busy.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
    assert entered.wait(30)
    client.server.drain(30)
    assert idle.read_all() == b""
    go_on.set()
    answer = busy.answer()
    assert answer.body == b"/busy"
    assert busy.read_all() == b""
    assert client.server.wait(30)


def test_saturation(serve: Serve) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            entered.set()
            assert go_on.wait(30)
        return path(environ, start_response)

    def reserved(environ: Environ) -> bool:
        return bool(environ["PATH_INFO"] == "/health")

    client = serve(application, threads=1, reserved=reserved, server={"max_queue": 0})
    eventually(lambda: client.server._pool.polling)  # there is no queue for its first request
    slow = client.open()
    slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert entered.wait(30)
    answer = client.get("/other")
    assert (answer.status, answer["Retry-After"], answer["Connection"]) == (503, "1", "close")
    assert client.get("/other", "HEAD").body == b""
    for _ in range(3):
        assert client.get("/health").body == b"/health"
    go_on.set()
    assert slow.answer().body == b"/slow"


def test_options_asterisk(serve: Serve) -> None:
    assert serve(path).get("*", "OPTIONS").body == b"*"


def test_a_function_is_called_in_a_thread_that_ends(serve: Serve) -> None:
    served: list[int] = []
    ended: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        served.append(threading.get_ident())
        start_response("200 OK", [])
        return [b"fine"]

    client = serve(
        application, threads=1, at_thread_end=lambda: ended.append(threading.get_ident())
    )
    assert client.get().body == b"fine"
    assert ended == []
    client.stop()
    assert ended == served

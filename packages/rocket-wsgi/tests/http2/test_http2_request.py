"""Requests over HTTP/2 become the environs that they are over HTTP/1.1."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import RequestIds, StaticFiles, Underscores

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Serve

Environ = dict[str, Any]
Start = Callable[..., Any]
Connect = Callable[..., HTTP2Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, which are closed with the test."""
    with ExitStack() as stack:
        yield lambda served, **options: stack.enter_context(HTTP2Client(served.address, **options))


class Seen:
    """An application that keeps its environs."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []

    def __call__(self, environ: Environ, start: Start) -> list[bytes]:
        self.environs.append(environ.copy())
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"seen"]


def test_an_environ(serve: Serve, connect: Connect) -> None:
    seen = Seen()
    served = serve(seen, h2c=True)
    client = connect(served)
    fields = [
        ("accept", "a"),
        ("accept", "b"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-a_b", "dropped"),
        ("proxy", "dropped"),
    ]
    for _ in range(2):  # the second one is remembered
        client.get("/a%20b/c?d=%20", fields=fields)
    assert client.get("/other", fields=fields).status == 200
    first, second, third = seen.environs
    for environ in (first, second):
        assert environ["REQUEST_METHOD"] == "GET"
        assert environ["SERVER_PROTOCOL"] == "HTTP/2"
        assert environ["PATH_INFO"] == "/a b/c"
        assert environ["QUERY_STRING"] == "d=%20"
        assert environ["REQUEST_URI"] == "/a%20b/c?d=%20"
        assert environ["HTTP_HOST"] == "a"
        assert environ["HTTP_ACCEPT"] == "a, b"
        assert environ["HTTP_COOKIE"] == "a=1; b=2"
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["wsgi.url_scheme"] == "http"
        assert environ["wsgi.input"].read() == b""
        assert not {"HTTP_X_A_B", "HTTP_PROXY", "CONTENT_LENGTH"} & set(environ)
    assert (third["PATH_INFO"], third["QUERY_STRING"]) == ("/other", "")
    assert first["wsgi.input"] is not second["wsgi.input"]


@pytest.mark.parametrize(
    ("options", "path", "method", "fields", "status"),
    [
        ({}, "/%00#", "GET", [], 400),
        ({}, "/", "GET", [("expect", "miracles")], 417),
        ({"underscores": Underscores.REFUSE}, "/", "GET", [("a_b", "c")], 400),
        ({"trusted_proxies": ["127.0.0.1"]}, "/", "GET", [("x-forwarded-proto", "ftp")], 400),
        ({}, "/" + "a" * 10_000, "GET", [], 414),
        ({}, "/", "GET", [("a", "b" * 20_000)], 431),
        ({"max_body": 10}, "/", "POST", [("content-length", "11")], 413),
        ({"max_body": 10, "stream_bodies": True}, "/", "POST", [("content-length", "11")], 413),
    ],
)
def test_a_request_is_refused_as_over_http1(  # noqa: PLR0917
    serve: Serve,
    connect: Connect,
    options: dict[str, Any],
    path: str,
    method: str,
    fields: list[tuple[str, str]],
    status: int,
) -> None:
    seen = Seen()
    client = connect(serve(seen, h2c=True, **options))
    end = method == "GET"
    assert client.answer(client.begin(path, method, fields, end=end)).status == status
    assert not seen.environs
    assert client.get("/").status == 200


def test_a_body_that_becomes_too_long_is_refused(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Seen(), h2c=True, max_body=100_000))
    stream = client.begin("/", "POST", end=False)
    client.send(stream, b"x" * 120_000, end=False)
    answer = client.answer(stream)
    assert answer.status == 413
    client.until(lambda: answer.reset is not None or answer.ended)
    assert client.get("/").status == 200


def test_proxies_and_request_ids(serve: Serve, connect: Connect) -> None:
    seen = Seen()
    served = serve(
        seen,
        h2c=True,
        trusted_proxies=["127.0.0.1"],
        request_ids=RequestIds(trusted=lambda peer: True, echo=True),
    )
    client = connect(served)
    fields = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")]
    for number in range(2):
        answer = client.get("/", fields=[*fields, ("x-request-id", f"id-{number}")])
        assert answer["x-request-id"] == f"id-{number}"
    for environ in seen.environs:
        assert environ["REMOTE_ADDR"] == "192.0.2.7"
        assert environ["wsgi.url_scheme"] == "https"
        assert "HTTP_X_FORWARDED_FOR" not in environ


def test_hints_precede_the_response(serve: Serve, connect: Connect) -> None:
    gate = threading.Event()

    def application(environ: Environ, start: Start) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a>; rel=preload")])
        assert gate.wait(PATIENCE)
        start("200 OK", [])
        return [b"body"]

    client = connect(serve(application, h2c=True))
    stream = client.begin()
    client.until(lambda: client.answers[stream].hints)
    assert client.answers[stream].hints == [[(":status", "103"), ("link", "</a>; rel=preload")]]
    gate.set()
    assert client.answer(stream).body == b"body"


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 None")]
)
def test_some_responses_have_no_body(
    serve: Serve, connect: Connect, method: str, status: str
) -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start(status, [])
        return [b"body"]

    answer = connect(serve(application, h2c=True)).get("/", method)
    assert (answer.status, answer.body, answer.ended) == (int(status[:3]), b"", True)
    assert answer["content-length"] == ("4" if method == "HEAD" else "")


@pytest.mark.parametrize("announced", [3, 100])
def test_a_wrong_length_is_not_sent_as_it_is(
    serve: Serve, connect: Connect, announced: int, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", [("Content-Length", str(announced))])
        return [b"12345"]

    answer = connect(serve(application, h2c=True)).get()
    if announced == 3:
        assert (answer.body, answer.ended, answer.reset) == (b"123", True, None)
    else:
        assert (answer.body, answer.ended) == (b"12345", False)
        assert answer.reset == 2


def test_files(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1024
    (tmp_path / "large").write_bytes(content)
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "empty").write_bytes(b"")
    client = connect(serve(Seen(), h2c=True, static={"/static": StaticFiles(tmp_path)}))
    assert client.get("/static/large").body == content
    assert client.get("/static/small").body == b"small"
    assert client.get("/static/empty").body == b""
    assert client.get("/static/none").status == 404
    assert client.get("/static/large", "HEAD")["content-length"] == str(len(content))
    ranges = client.get("/static/large", fields=[("range", "bytes=0-99999,100200-100300")])
    assert ranges.status == 206
    assert content[:100_000] in ranges.body
    etag = client.get("/static/small")["etag"]
    assert client.get("/static/small", fields=[("if-none-match", etag)]).status == 304
    upload = client.begin("/static/small", "POST", end=False)
    client.send(upload, b"body")
    assert client.answer(upload).status == 405


def test_a_streamed_body_is_read_as_it_arrives(serve: Serve, connect: Connect) -> None:
    read: list[bytes] = []
    may_read = threading.Event()

    def application(environ: Environ, start: Start) -> list[bytes]:
        assert may_read.wait(PATIENCE)
        while data := environ["wsgi.input"].read1(50_000):
            read.append(data)
        start("200 OK", [])
        return [str(sum(map(len, read))).encode()]

    client = connect(serve(application, h2c=True, stream_bodies=True))
    stream = client.begin("/", "POST", end=False)
    client.until(lambda: client.h2.local_flow_control_window(stream) == 262_144)
    client.send(stream, b"x" * 262_144, end=False)
    assert client.h2.local_flow_control_window(stream) == 0  # there is no credit until it is read
    may_read.set()
    client.send(stream, b"y" * 262_144, end=False)
    eventually(lambda: sum(map(len, read)) > 400_000)
    client.send(stream, b"z")
    assert client.answer(stream).text == str(2 * 262_144 + 1)


def test_a_streamed_body_ends_with_its_stream(serve: Serve, connect: Connect) -> None:
    errors: list[BaseException] = []
    begun = threading.Event()

    def application(environ: Environ, start: Start) -> list[bytes]:
        begun.set()
        try:
            environ["wsgi.input"].read()
        except BaseException as error:
            errors.append(error)
            raise
        start("200 OK", [])
        return [b"read"]

    client = connect(serve(application, h2c=True, stream_bodies=True, max_body=300_000))
    stream = client.begin("/", "POST", end=False)
    client.send(stream, b"a part", end=False)
    assert begun.wait(PATIENCE)
    client.reset(stream)
    eventually(lambda: len(errors) == 1)
    assert type(errors[0]).__name__ == "ClientGone"
    long = client.begin("/", "POST", end=False)
    client.send(long, b"x" * 310_000, end=False)
    assert client.answer(long).status == 500
    assert "too long" in str(errors[1])


def test_a_client_that_waits_for_100_is_asked_to_go_on(serve: Serve, connect: Connect) -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", [])
        return [environ["wsgi.input"].read()]

    client = connect(serve(application, h2c=True))
    stream = client.begin("/", "POST", [("expect", "100-continue")], end=False)
    client.until(lambda: client.answers[stream].hints)
    assert client.answers[stream].hints == [[(":status", "100")]]
    client.send(stream, b"body")
    assert client.answer(stream).body == b"body"

"""Responses of applications that are compressed, over HTTP/1.1 and over HTTP/2."""

from __future__ import annotations

import io
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from test_coders import decoder

from http2_client import HTTP2Client
from rocket_core.testing import PATIENCE, Answer

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Serve
    from served import Served

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]

TEXT = ("Content-Type", "text/plain")
BODY = b"all work and no play makes Jack a dull boy\n" * 100


class App:
    """An application that answers with one result, and keeps whether that was closed."""

    def __init__(
        self,
        result: Any = (BODY,),
        fields: list[tuple[str, str]] | None = None,
        status: str = "200 OK",
    ) -> None:
        self._result = result
        self._fields = [TEXT] if fields is None else fields
        self._status = status

    def __call__(self, environ: Environ, start_response: Start) -> Any:
        start_response(self._status, self._fields)
        return self._result() if callable(self._result) else self._result


def ask(
    served: Served, accepted: str | None = "gzip", method: str = "GET", more: str = ""
) -> Answer:
    client = served.open()
    field = "" if accepted is None else f"Accept-Encoding: {accepted}\r\n"
    client.send(f"{method} / HTTP/1.1\r\nHost: a\r\n{field}{more}\r\n".encode())
    return client.answer(method)


def varies(answer: Answer) -> bool:
    return "vary" in answer and "Accept-Encoding" in answer["vary"]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_body_in_memory(serve: Serve, coding: str) -> None:
    answer = ask(serve(App(), compress=True), coding)
    assert answer["content-encoding"] == coding
    assert int(answer["content-length"]) == len(answer.body) < len(BODY) / 4
    assert decoder(coding)(answer.body) == BODY
    assert varies(answer)


def test_off_by_default(serve: Serve) -> None:
    answer = ask(serve(App()))
    assert answer.body == BODY
    assert "vary" not in answer


@pytest.mark.parametrize(
    "accepted", [None, "identity", "gzip;q=0", "deflate", "identity, gzip;q=0.5"]
)
def test_client_that_does_not_want_it(serve: Serve, accepted: str | None) -> None:
    answer = ask(serve(App(), compress=True), accepted)
    assert answer.body == BODY
    assert int(answer["content-length"]) == len(BODY)
    assert varies(answer)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_small_body(serve: Serve, method: str) -> None:
    answer = ask(serve(App([BODY[:1023]]), compress=True), method=method)
    assert "content-encoding" not in answer
    assert int(answer["content-length"]) == 1023
    assert varies(answer)
    answer = ask(serve(App([BODY[:1024]]), compress=True), method=method)
    assert answer["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("200 OK", [("Content-Type", "image/png")]),
        ("200 OK", [TEXT, ("Cache-Control", "no-transform")]),
        ("200 OK", [TEXT, ("Content-Encoding", "deflate")]),
        ("206 Partial Content", [TEXT, ("Content-Range", "bytes 0-4299/9999")]),
    ],
)
def test_what_is_never_compressed(serve: Serve, status: str, fields: list[tuple[str, str]]) -> None:
    answer = ask(serve(App(fields=fields, status=status), compress=True))
    assert answer.body == BODY
    assert "vary" not in answer


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_without_a_body(serve: Serve, status: str) -> None:
    answer = ask(serve(App([], status=status), compress=True))
    assert "content-encoding" not in answer
    assert varies(answer) is status.startswith("304")


def test_strong_tag_becomes_weak_and_is_recognised(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        same = environ.get("HTTP_IF_NONE_MATCH") == 'W/"v1"'
        start_response("304 Not Modified" if same else "200 OK", [TEXT, ("ETag", '"v1"')])
        return [] if same else [BODY]

    served = serve(application, compress=True)
    assert ask(served)["etag"] == 'W/"v1"'
    assert ask(served, "identity")["etag"] == '"v1"'
    answer = ask(served, more='If-None-Match: W/"v1"\r\n')
    assert (answer.status, answer["etag"]) == (304, 'W/"v1"')


def test_error_page_is_compressed(serve: Serve) -> None:
    answer = ask(serve(App(status="404 Not Found"), compress=True))
    assert (answer.status, answer["content-encoding"]) == (404, "gzip")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("result", [[BODY], [], lambda: iter([BODY]), lambda: iter([])])
def test_head_is_that_of_get(serve: Serve, result: Any, announced: bool) -> None:
    """Applications answer HEAD with the body, or without it and with its length."""

    def application(environ: Environ, start_response: Start) -> Any:
        fields = [TEXT, ("ETag", '"v1"')]
        if announced:
            fields.append(("Content-Length", str(len(BODY))))
        start_response("200 OK", fields)
        made = result() if callable(result) else result
        return [BODY] if environ["REQUEST_METHOD"] == "GET" else made

    served = serve(application, compress=True)
    for accepted in ("gzip", "identity"):
        get, head = ask(served, accepted), ask(served, accepted, "HEAD")
        assert head.body == b""
        if not announced and not any(result() if callable(result) else result):
            continue  # nobody knows
        for name in ("content-encoding", "etag", "vary", "content-type"):
            assert (name in head) is (name in get)
            assert name not in get or head[name] == get[name]
        if "content-length" in head:
            assert head["content-length"] == get["content-length"]


def test_parts_in_memory(serve: Serve) -> None:
    answer = ask(serve(App([BODY[:10], BODY[10:]]), compress=True))
    assert zlib.decompress(answer.body, 31) == BODY
    assert int(answer["content-length"]) == len(answer.body)


def test_only_part_of_an_iterator(serve: Serve) -> None:
    """As frameworks answer. The length of the compressed body is known."""
    fields = [TEXT, ("Content-Length", str(len(BODY)))]
    answer = ask(serve(App(lambda: iter([b"", BODY]), fields), compress=True))
    assert zlib.decompress(answer.body, 31) == BODY
    assert int(answer["content-length"]) == len(answer.body)


class Events:
    """An application that sends the next event when the client has the one before."""

    def __init__(self) -> None:
        self.received = threading.Event()

    def __call__(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        for number in range(3):
            self.received.clear()
            yield b"data: %d\n\n" % number
            assert self.received.wait(PATIENCE)


@pytest.mark.http1
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_each_event_is_sent_at_once(serve: Serve, coding: str) -> None:
    app = Events()
    client = serve(app, compress=True).open()
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
    assert client.head()["content-encoding"] == coding
    decode = decoder(coding)
    for number in range(3):
        assert decode(client.chunk()) == b"data: %d\n\n" % number
        app.received.set()


@pytest.mark.http1
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_each_event_is_sent_at_once_over_http2(serve: Serve, coding: str) -> None:
    app = Events()
    with HTTP2Client(serve(app, compress=True, h2c=True).address) as client:
        stream = client.begin("/", "GET", [("accept-encoding", coding)])
        answer = client.answers[stream]
        decode = decoder(coding)
        for number in range(3):
            client.until(lambda: answer.body)
            assert decode(answer.body) == b"data: %d\n\n" % number
            answer.body = b""
            app.received.set()
        assert answer["content-encoding"] == coding


def test_write(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"")
        write(b"one ")
        write(b"two ")
        return [b"three"]

    answer = ask(serve(application, compress=True))
    assert answer["content-encoding"] == "gzip"
    assert zlib.decompress(answer.body, 31) == b"one two three"


def test_excess_is_not_sent(serve: Serve) -> None:
    fields = [TEXT, ("Content-Length", "4000")]
    served = serve(App(lambda: iter([BODY[:2000], BODY[2000:]]), fields), compress=True)
    assert zlib.decompress(ask(served).body, 31) == BODY[:4000]


def test_file_is_compressed_and_closed(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    path.write_bytes(BODY * 100)
    opened: list[io.BufferedReader] = []

    def application(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [TEXT])
        opened.append(path.open("rb"))
        return environ["wsgi.file_wrapper"](opened[-1])

    served = serve(application, compress=True)
    answer = ask(served)
    assert zlib.decompress(answer.body, 31) == BODY * 100
    assert ask(served, "identity").body == BODY * 100
    served.stop()
    assert [each.closed for each in opened] == [True, True]


def test_what_was_returned_is_closed(serve: Serve) -> None:
    class Result:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            yield BODY

        def close(self) -> None:
            Result.closed += 1

    served = serve(App(Result), compress=True)
    assert zlib.decompress(ask(served).body, 31) == BODY
    ask(served, "identity")
    served.stop()
    assert Result.closed == 2


def test_generator_as_an_application(serve: Serve) -> None:
    """It calls ``start_response`` when its first part is asked for."""

    def application(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield BODY

    answer = ask(serve(application, compress=True))
    assert zlib.decompress(answer.body, 31) == BODY


def test_head_is_replaced_before_anything_is_sent(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [TEXT, ("X-First", "1")])
        start_response("500 Oops", [TEXT], (None, None, None))
        return [BODY]

    answer = ask(serve(application, compress=True))
    assert answer.status == 500
    assert "x-first" not in answer
    assert zlib.decompress(answer.body, 31) == BODY


@pytest.mark.http1
def test_trailers(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        environ["rocket.send_trailers"]([("X-Sum", "1")])
        start_response("200 OK", [TEXT])
        return [BODY]

    client = serve(application, compress=True).open()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n")
    assert client.head()["content-encoding"] == "gzip"
    assert client.read_all().endswith(b"0\r\nX-Sum: 1\r\n\r\n")


def test_what_goes_on_after_the_view_is_not_compressed(serve: Serve) -> None:
    streams: list[Any] = []

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        streams.append(environ["rocket.events"].open())
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return [BODY]

    client = serve(application, compress=True).open()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    answer = client.head()
    assert "content-encoding" not in answer
    streams[0].send("news")
    text = b""
    while b"news" not in text:
        text += client.chunk()
    streams[0].close()


def test_deferred_answer_is_not_compressed(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        later = environ["rocket.deferred"].hold()
        start_response("200 OK", [TEXT])
        later.answer("200 OK", [TEXT], BODY)
        return []

    answer = ask(serve(application, compress=True))
    assert answer.body == BODY
    assert "content-encoding" not in answer

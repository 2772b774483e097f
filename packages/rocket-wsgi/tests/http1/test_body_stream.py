"""Bodies that the application reads while they arrive."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import Serve
from rocket_core import Timeouts

Start = Callable[..., Callable[[bytes], None]]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def digest(environ: dict[str, Any], start_response: Start) -> list[bytes]:
    found = hashlib.sha256()
    while block := environ["wsgi.input"].read(10_000):
        found.update(block)
    start_response("200 OK", [])
    return [found.hexdigest().encode()]


def ignoring(environ: dict[str, Any], start_response: Start) -> list[bytes]:
    start_response("200 OK", [])
    return [b"ignored"]


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_one_after_the_other(serve: Serve, chunked: bool) -> None:
    body = bytes(range(256)) * 10_000
    expected = hashlib.sha256(body).hexdigest().encode()
    stream = serve(digest, stream_bodies=True).open()
    for _ in range(2):
        if chunked:
            stream.send(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            stream.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
            stream.send(body)
        assert stream.answer().body == expected
    stream.send(GET)
    assert stream.answer().body == hashlib.sha256().hexdigest().encode()


def test_the_end_of_a_chunked_body_is_that_of_the_input(serve: Serve) -> None:
    seen: list[tuple[object, object]] = []

    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        seen.append((environ["wsgi.input_terminated"], environ.get("CONTENT_LENGTH")))
        start_response("200 OK", [])
        return [environ["wsgi.input"].read(), environ["wsgi.input"].read()]

    stream = serve(application, stream_bodies=True).open()
    stream.send(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + GET)
    assert stream.answer().body == b"abc"
    assert stream.answer().body == b""
    assert seen == [(True, None), (True, None)]


def test_the_application_reads_what_has_arrived(serve: Serve) -> None:
    arrived = threading.Semaphore(0)
    lines: list[bytes] = []

    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        for line in environ["wsgi.input"]:
            lines.append(line)
            arrived.release()
        start_response("200 OK", [])
        return [b"done"]

    stream = serve(application, stream_bodies=True, threads=1).open()
    stream.send(CHUNKED)
    for line in (b"one\n", b"two\n"):
        stream.send(b"4\r\n" + line + b"\r\n")
        assert arrived.acquire(timeout=30)
    assert lines == [b"one\n", b"two\n"]
    stream.send(b"0\r\n\r\n")
    assert stream.answer().body == b"done"


def test_waiting_for_a_body_delays_no_other_client(serve: Serve) -> None:
    client = serve(digest, stream_bodies=True, threads=1)
    slow = [client.open() for _ in range(10)]
    for stream in slow:
        stream.send(CHUNKED + b"3\r\nab")
        assert client.get().status == 200
    for stream in slow:
        stream.send(b"c\r\n0\r\n\r\n")
        assert stream.answer().body == hashlib.sha256(b"abc").hexdigest().encode()


def test_continue_is_sent_when_the_application_reads(serve: Serve) -> None:
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    reading = serve(digest, stream_bodies=True).open()
    reading.send(head)
    assert reading.head()[1] == 100
    reading.send(b"abc")
    assert reading.answer().status == 200
    not_reading = serve(ignoring, stream_bodies=True).open()
    not_reading.send(head)
    answer = not_reading.answer()
    assert (answer.status, answer["Connection"]) == (200, "close")


def test_an_unread_body_ends_the_connection_and_not_the_answer(serve: Serve) -> None:
    stream = serve(ignoring, stream_bodies=True).open()
    stream.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
    answer = stream.answer()
    assert (answer.body, answer["Connection"]) == (b"ignored", "close")
    assert stream.rest() == b""


def test_an_early_answer_is_not_lost_to_a_client_that_sends_on(serve: Serve) -> None:
    stream = serve(ignoring, stream_bodies=True).open()
    stream.send(
        b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n"
    )
    answer = stream.answer()
    for _ in range(10):
        stream.send(bytes(100_000))
    assert (answer.body, stream.rest()) == (b"ignored", b"")


def test_no_continue_after_the_response_has_begun(serve: Serve) -> None:
    def application(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        yield environ["wsgi.input"].read(3)

    stream = serve(application, stream_bodies=True).open()
    stream.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    stream.head()
    assert stream.chunk() == b"first"
    stream.send(b"abc")
    assert [stream.chunk(), stream.chunk()] == [b"abc", b""]


def test_the_time_of_the_application_does_not_count_against_the_client(serve: Serve) -> None:
    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        time.sleep(0.6)  # what is shown is that this much time does not count
        first = environ["wsgi.input"].read(1)
        time.sleep(0.6)
        start_response("200 OK", [])
        return [first + environ["wsgi.input"].read()]

    stream = serve(application, stream_bodies=True, timeouts=Timeouts(grace=0.5)).open()
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    stream.send(head)
    assert stream.head()[1] == 100
    stream.send(b"a")
    threading.Timer(0.7, stream.send, [b"bc"]).start()
    assert stream.answer().body == b"abc"


def test_the_input_ends_with_the_request(serve: Serve) -> None:
    kept: list[Any] = []

    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        kept.append(environ["wsgi.input"])
        return ignoring(environ, start_response)

    stream = serve(application, stream_bodies=True).open()
    stream.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    assert stream.rest()
    with pytest.raises(ValueError, match="closed"):
        kept[0].read()


def test_malformed_chunks_are_an_error_of_reading(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    stream = serve(digest, stream_bodies=True).open()
    stream.send(CHUNKED + b"3\r\nabc\r\nnonsense\r\n")
    answer = stream.answer()
    assert (answer.status, answer["Connection"]) == (500, "close")
    assert "malformed request body: a chunk's size is malformed" in caplog.text
    assert stream.rest() == b""


def test_reading_ends_if_the_client_disconnects_or_stalls(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Semaphore(0)

    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        try:
            return digest(environ, start_response)
        finally:
            ended.release()

    client = serve(application, stream_bodies=True, timeouts=Timeouts(grace=0.3))
    leaving, stalling = client.open(), client.open()
    for stream in (leaving, stalling):
        stream.send(CHUNKED + b"3\r\nab")
    leaving.close()
    for _ in range(2):
        assert ended.acquire(timeout=30)
    assert stalling.rest() == b""
    assert "Traceback" not in caplog.text

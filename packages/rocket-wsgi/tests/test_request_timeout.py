"""Requests that exceed the time limit are answered without the application."""

from __future__ import annotations

import gc
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import Serve
from rocket_core import ClientGone
from rocket_core.testing import at_growing_scales, eventually, within
from rocket_wsgi import AccessLog

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Held:
    """An application whose requests for ``/hold`` wait; records their outcomes."""

    def __init__(self, *, finish: Callable[[Environ, Start], Any]) -> None:
        self.leave = threading.Event()
        self.outcomes: list[BaseException | str] = []
        self.ended = threading.Event()
        self._finish = finish

    def __call__(self, environ: Environ, start_response: Start) -> Any:
        if environ["PATH_INFO"] != "/hold":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"quick"]
        assert self.leave.wait(30)
        try:
            return self._finish(environ, start_response)
        except BaseException as error:
            self.outcomes.append(error)
            raise
        finally:
            self.ended.set()


def answers(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"much too late"]


def writes(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [])(b"much too late")
    return []


def hints(environ: Environ, start_response: Start) -> list[bytes]:
    environ["wsgi.early_hints"]([("Link", "</a>; rel=preload")])
    return answers(environ, start_response)


def asks(environ: Environ, start_response: Start) -> list[bytes]:
    assert environ["rocket.client_gone"]()
    return answers(environ, start_response)


@pytest.mark.parametrize("finish", [answers, writes, hints, asks])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_that_takes_too_long_is_answered_504(
    serve: Serve, caplog: pytest.LogCaptureFixture, finish: Any, method: str
) -> None:
    caplog.set_level(logging.INFO, "access")

    def answered(scale: float) -> None:
        caplog.clear()
        limit = 0.2 * scale
        application = Held(finish=finish)
        log = AccessLog(logging.getLogger("access"))
        client = serve(application, threads=1, server={"request_timeout": limit}, access_log=log)
        stream = client.open()
        stream.send(f"{method} /hold HTTP/1.1\r\nHost: a\r\n\r\n".encode() + GET)
        answer = stream.answer(method)
        assert (answer.status, answer["Connection"]) == (504, "close")
        assert "Retry-After" not in answer
        try:
            with within(limit):
                assert client.get().body == b"quick"  # its worker is replaced
        finally:
            application.leave.set()
        assert application.ended.wait(30)
        assert stream.read_all() == b""  # no answer, to its request or to the one behind it
        if finish in (writes, hints):
            assert isinstance(application.outcomes[0], ClientGone)
        with within(limit):
            assert client.get().body == b"quick"
        client.stop()
        log.close()
        message = f"{method} /hold exceeded request_timeout ({limit:g} s): answered"
        assert message in caplog.text
        assert "in __call__" in caplog.text
        assert "Traceback" not in caplog.text
        access = [each.getMessage() for each in caplog.records if each.name == "access"]
        assert sum('" 504 ' in line for line in access) == 1
        assert len(access) == 3

    at_growing_scales(answered)


def test_a_failure_after_the_answer_is_still_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(environ: Environ, start_response: Start) -> list[bytes]:
        raise RuntimeError("the database is gone")

    application = Held(finish=fail)
    client = serve(application, server={"request_timeout": 0.1})
    assert client.get("/hold").status == 504
    application.leave.set()
    assert application.ended.wait(30)
    client.stop()
    assert "GET /hold: the application failed" in caplog.text
    assert "the database is gone" in caplog.text


def test_a_response_that_has_begun_is_cut(serve: Serve) -> None:
    leave = threading.Event()

    def application(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"part"
        assert leave.wait(30)
        yield b"rest"

    def cut(scale: float) -> None:
        limit = 0.1 * scale
        stream = serve(application, server={"request_timeout": limit}).open()
        with within(limit):
            stream.send(GET)
            assert stream.head().status == 200
            assert stream.chunk() == b"part"
        assert stream.read_all() == b""  # without the last chunk

    try:
        at_growing_scales(cut)
    finally:
        leave.set()


def test_a_body_that_arrives_slowly_does_not_count(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/hold":
            assert leave.wait(30)
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    leave = threading.Event()

    def answered(scale: float) -> None:
        limit = 0.1 * scale
        client = serve(application, stream_bodies=True, server={"request_timeout": limit})
        slow = client.open()
        slow.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n1")
        assert client.get("/hold").status == 504  # the limit is looked at
        with within(limit):
            slow.send(b"23")
            assert slow.answer().body == b"123"

    try:
        at_growing_scales(answered)
    finally:
        leave.set()


def test_an_unread_streamed_body_does_not_delay_the_answer(serve: Serve) -> None:
    leave = threading.Event()
    outcomes: list[BaseException] = []
    ended = threading.Event()

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        assert leave.wait(30)
        try:
            environ["wsgi.input"].read()
        except ClientGone as error:
            outcomes.append(error)
            raise
        finally:
            ended.set()
        return []

    client = serve(application, stream_bodies=True, server={"request_timeout": 0.1})
    stream = client.open()
    stream.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n123")
    assert stream.answer().status == 504
    leave.set()
    assert ended.wait(30)
    assert len(outcomes) == 1


def test_quick_requests_with_a_limit(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    client = serve(answers, server={"request_timeout": 30})
    stream = client.open()
    stream.send(GET * 100)
    for _ in range(100):
        assert stream.answer().body == b"much too late"
    assert not caplog.records


def test_client_gone(serve: Serve) -> None:
    seen: list[bool] = []
    asked = threading.Event()
    leave = threading.Event()
    kept: list[Environ] = []

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        gone = environ["rocket.client_gone"]
        seen.append(gone())
        asked.set()
        assert leave.wait(30)
        until = time.monotonic() + 30
        while not gone() and time.monotonic() < until:
            time.sleep(0.002)
        seen.append(gone())
        kept.append(environ)
        start_response("200 OK", [])
        return [b"still answered"]

    client = serve(application)
    stream = client.open()
    stream.send(GET + b"and more, which is no sign of its end")
    assert asked.wait(30)
    assert seen == [False]
    stream.socket.shutdown(socket.SHUT_WR)
    leave.set()
    assert stream.answer().body == b"still answered"
    assert seen == [False, True]
    client.stop()
    assert kept[0]["rocket.client_gone"]()


def test_queue_time(serve: Serve) -> None:
    times: list[float] = []
    first = threading.Event()
    leave = threading.Event()

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        times.append(environ["rocket.queue_time"])
        first.set()
        assert leave.wait(30)
        start_response("200 OK", [])
        return []

    client = serve(application, threads=1)
    busy, waiting = client.open(), client.open()
    busy.send(GET)
    assert first.wait(30)
    waiting.send(GET + GET)
    eventually(lambda: client.server.statistics().ready)
    began = time.monotonic()
    while time.monotonic() < began + 0.05:
        pass
    leave.set()
    waiting.answer()
    waiting.answer()
    assert [type(each) for each in times] == [float] * 3
    assert times[1] >= 0.05
    assert times[2] == 0.0  # it was next, without waiting


def test_requests_leave_no_garbage_to_collect(serve: Serve) -> None:
    """The environ refers to methods of the response, but no reference cycle is left."""
    stream = serve(answers, threads=1).open()
    stream.send(GET)
    stream.answer()
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            stream.send(GET)
            stream.answer()
        assert gc.collect() < 50
    finally:
        gc.enable()

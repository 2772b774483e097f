"""Requests over HTTP/2 that exceed the time limit end alone, and their applications find out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client
from rocket_core import ClientGone
from rocket_core.testing import PATIENCE, at_growing_scales, eventually, within
from rocket_wsgi import AccessLog

if TYPE_CHECKING:
    from conftest import Serve

Environ = dict[str, Any]
Start = Callable[..., Any]
Connect = Callable[..., HTTP2Client]

INTERNAL_ERROR = 2


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, which are closed with the test."""
    with ExitStack() as stack:
        yield lambda served, **options: stack.enter_context(HTTP2Client(served.address, **options))


class Held:
    """An application whose requests for ``/hold`` wait; records their outcomes."""

    def __init__(self, finish: Callable[[Environ, Start], Any]) -> None:
        self.leave = threading.Event()
        self.ended = threading.Event()
        self.outcomes: list[BaseException] = []
        self._finish = finish

    def __call__(self, environ: Environ, start: Start) -> Any:
        if environ["PATH_INFO"] != "/hold":
            start("200 OK", [])
            return [b"quick"]
        assert self.leave.wait(PATIENCE)
        try:
            return self._finish(environ, start)
        except BaseException as error:
            self.outcomes.append(error)
            raise
        finally:
            self.ended.set()


def answers(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", [])
    return [b"much too late"]


def answers_largely(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", [])
    return [b"much too late" * 100_000]


def writes(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", [])(b"much too late")
    return []


def hints(environ: Environ, start: Start) -> list[bytes]:
    environ["wsgi.early_hints"]([("Link", "</a>; rel=preload")])
    return answers(environ, start)


def asks(environ: Environ, start: Start) -> list[bytes]:
    assert environ["rocket.client_gone"]()
    return answers(environ, start)


def reads(environ: Environ, start: Start) -> list[bytes]:
    environ["wsgi.input"].read()
    return answers(environ, start)


def fails(environ: Environ, start: Start) -> list[bytes]:
    raise LookupError("the database is gone")


@pytest.mark.parametrize("finish", [answers, answers_largely, writes, hints, asks, fails])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_that_takes_too_long_is_answered_504(
    serve: Serve,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    finish: Callable[[Environ, Start], Any],
    method: str,
) -> None:
    caplog.set_level(logging.INFO, "access")

    def answered(scale: float) -> None:
        caplog.clear()
        limit = 0.2 * scale
        application = Held(finish)
        log = AccessLog(logging.getLogger("access"), "{method} {target} {status} {size} {requests}")
        served = serve(
            application, h2c=True, threads=1, server={"request_timeout": limit}, access_log=log
        )
        client = connect(served)
        stream = client.begin("/hold", method)
        answer = client.answer(stream)
        assert (answer.status, answer.reset, answer.ended) == (504, None, True)
        assert (answer.body == b"") is (method == "HEAD")
        assert "retry-after" not in dict(answer.fields)
        try:
            with within(limit):
                assert client.get("/quick").body == b"quick"  # the worker is replaced
        finally:
            application.leave.set()
        assert application.ended.wait(PATIENCE)
        with within(limit):
            assert client.get("/quick").body == b"quick"
        served.stop()
        log.close()
        if finish in (writes, hints):
            assert isinstance(application.outcomes[0], ClientGone)
        assert f"{method} /hold exceeded request_timeout ({limit:g} s): answered" in caplog.text
        assert "in __call__" in caplog.text
        assert ("Traceback" in caplog.text) is (finish is fails)
        access = [each.getMessage() for each in caplog.records if each.name == "access"]
        size = 0 if method == "HEAD" else len(answer.body)
        assert access == [
            f"{method} /hold 504 {size} 1",
            "GET /quick 200 5 2",
            "GET /quick 200 5 3",
        ]

    at_growing_scales(answered)


def test_other_streams_of_the_connection_go_on(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/hold":
            assert gate.wait(PATIENCE)
        start("200 OK", [])
        yield environ["wsgi.input"].read()

    served = serve(application, h2c=True, threads=2, server={"request_timeout": 0.2})
    client = connect(served)
    upload = client.begin("/upload", "POST", end=False)
    client.send(upload, b"first ", end=False)
    held = [client.begin("/hold") for _ in range(3)]
    assert {client.answer(each).status for each in held} == {504}
    client.send(upload, b"second")
    answer = client.answer(upload)  # whose time is that of the application alone
    assert (answer.status, answer.body) == (200, b"first second")
    gate.set()
    assert not client.goaways


def test_an_unread_streamed_body_does_not_delay_the_answer(serve: Serve, connect: Connect) -> None:
    application = Held(reads)
    served = serve(application, h2c=True, stream_bodies=True, server={"request_timeout": 0.1})
    client = connect(served)
    stream = client.begin("/hold", "POST", end=False)
    client.send(stream, b"123")
    assert client.answer(stream).status == 504
    application.leave.set()
    assert application.ended.wait(PATIENCE)
    assert isinstance(application.outcomes[0], ClientGone)


def test_a_body_that_arrives_slowly_does_not_count(serve: Serve, connect: Connect) -> None:
    leave = threading.Event()

    def application(environ: Environ, start: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/hold":
            assert leave.wait(PATIENCE)
        start("200 OK", [])
        return [environ["wsgi.input"].read()]

    def answered(scale: float) -> None:
        limit = 0.1 * scale
        served = serve(application, h2c=True, stream_bodies=True, server={"request_timeout": limit})
        client = connect(served)
        slow = client.begin("/", "POST", end=False)
        client.send(slow, b"1", end=False)
        assert client.get("/hold").status == 504  # the limit is looked at
        with within(limit):
            client.send(slow, b"23")
            assert client.answer(slow).body == b"123"

    try:
        at_growing_scales(answered)
    finally:
        leave.set()


def test_a_response_of_a_view_that_takes_too_long_to_close_is_complete(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The response has been sent before; only its thread is still held."""
    gate = threading.Event()

    class Closing(list[bytes]):
        def close(self) -> None:
            assert gate.wait(PATIENCE)

    def application(environ: Environ, start: Start) -> Any:
        start("200 OK", [])
        return Closing([b"before"]) if environ["PATH_INFO"] == "/closing" else [b"quick"]

    served = serve(application, h2c=True, threads=1, server={"request_timeout": 0.1})
    client = connect(served)
    assert client.get("/closing").body == b"before"
    eventually(lambda: "exceeded request_timeout" in caplog.text)
    assert client.get("/quick").body == b"quick"
    assert not client.goaways
    gate.set()

"""A server that serves as fast as it can keeps its times, whatever its threads compute.

A thread that runs compiled code gives the interpreter away less often than one that runs byte code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conftest import Serve
from rocket_core import Timeouts
from rocket_core.testing import PATIENCE, Load
from served import Served

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]
Application = Callable[[Environ, Start], list[bytes]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def answer(environ: Environ, start_response: Start) -> list[bytes]:
    """Answer at once."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"quick"]


def compute(environ: Environ, start_response: Start) -> list[bytes]:
    """Answer after some milliseconds of byte code."""
    number = 0
    for each in range(50_000):
        number += each
    return answer(environ, start_response)


def hold_on(environ: Environ, start_response: Start) -> list[bytes]:
    """Answer after some milliseconds of a call that does not give the interpreter away."""
    sum(range(300_000))
    return answer(environ, start_response)


applications = pytest.mark.parametrize("application", [answer, compute, hold_on])


@contextmanager
def loaded(serve: Serve, application: Application, **options: Any) -> Iterator[tuple[Served, Load]]:
    """Run a server whose threads are all busy with clients that never pause."""
    served = serve(application, threads=4, **options)
    with Load(served.address, GET) as load:
        load.go_on()
        yield served, load


@applications
def test_slow_clients_are_told_so(serve: Serve, application: Application) -> None:
    timeouts = Timeouts(head=0.3, keep_alive=0.4, grace=0.3, stall=0.2, minimum_rate=1e6)
    with loaded(serve, application, timeouts=timeouts) as (served, load):
        head, idle, body = (served.open() for _ in range(3))
        head.send(GET[:-2])
        idle.send(GET)
        body.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")
        assert head.answer().status == body.answer().status == 408
        assert idle.answer().status == 200
        assert idle.closed_by_server()
        load.go_on()


@applications
def test_request_that_takes_too_long_is_answered_504(
    serve: Serve, application: Application
) -> None:
    leave = threading.Event()

    def held(environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/hold":
            assert leave.wait(PATIENCE)
        return application(environ, start_response)

    try:
        # Other requests take milliseconds, if the machine is not too busy; each may be refused.
        with loaded(serve, held, server={"request_timeout": 1.0}) as (served, load):
            for _ in range(2):
                assert served.get("/hold").status == 504
            load.go_on()
    finally:
        leave.set()


@applications
def test_request_that_computes_for_too_long_is_answered_504(
    serve: Serve, application: Application
) -> None:
    """The thread that answers gets the interpreter while the application has it all the time."""
    leave = threading.Event()

    def busy(environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/hold":
            while not leave.is_set():
                application(environ, lambda *_: lambda _: None)
        return application(environ, start_response)

    try:
        with loaded(serve, busy, server={"request_timeout": 1.0}) as (served, load):
            assert served.get("/hold").status == 504
            load.go_on()
    finally:
        leave.set()


@applications
def test_stop_by_another_thread_ends_the_server(serve: Serve, application: Application) -> None:
    with loaded(serve, application) as (served, _):
        thread = threading.Thread(target=served.server.stop)
        thread.start()
        assert served.server.wait(PATIENCE)
        thread.join(PATIENCE)
        assert not thread.is_alive()


@applications
def test_drain_ends_within_its_time(
    serve: Serve, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    with loaded(serve, application) as (served, _):
        served.server.drain(PATIENCE)
        assert served.server.wait(PATIENCE)
    assert "drain timeout reached" not in caplog.text

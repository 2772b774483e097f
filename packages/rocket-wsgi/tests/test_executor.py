"""Background work that outlives its request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from conftest import Serve
from rocket_wsgi import Executor

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]


@pytest.fixture
def executor() -> Iterator[Executor]:
    executor = Executor(1)
    executor.open()
    yield executor
    executor.shutdown()


def test_a_later_request_finds_the_result(serve: Serve) -> None:
    leave = threading.Event()

    def build(number: int, *, factor: int) -> int:
        assert leave.wait(30)
        return number * factor

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/begin":
            executor = environ["wsgiorg.executor"]
            assert executor.multithread is True
            assert executor.multiprocess is False
            executor.submit(build, 6, factor=7).remember("report")
            start_response("202 Accepted", [])
            return [b"begun"]
        start_response("200 OK", [])
        return [b"%d" % environ["wsgiorg.futures"]["report"].result(30)]

    client = serve(application, executor=Executor(2))
    assert client.get("/begin").body == b"begun"
    leave.set()
    assert client.get("/report").body == b"42"


def test_without_an_executor_the_environ_has_no_keys(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        assert "wsgiorg.executor" not in environ
        assert "wsgiorg.futures" not in environ
        start_response("204 No Content", [])
        return []

    assert serve(application).get().status == 204


def test_the_server_opens_and_closes_the_executor(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    executor = Executor(1)
    leave = threading.Event()
    done = threading.Event()
    waiting: list[Any] = []
    running = threading.Event()

    def work() -> None:
        running.set()
        assert leave.wait(30)
        done.set()

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        submit = environ["wsgiorg.executor"].submit
        submit(work)
        assert running.wait(30)
        waiting.append(submit(work))
        start_response("204 No Content", [])
        return []

    with pytest.raises(RuntimeError, match="its server is not running"):
        executor.submit(work)
    client = serve(application, executor=executor)
    assert not [each for each in threading.enumerate() if "rocket-executor" in each.name]
    assert client.get().status == 204
    client.stop()
    with pytest.raises(CancelledError):
        waiting[0].result(30)
    assert "cancelled 1 waiting background calls" in caplog.text
    with pytest.raises(RuntimeError, match="its server is not running"):
        executor.submit(work)
    leave.set()
    assert done.wait(30)  # started work is finished
    client.server.start()
    assert executor.submit(int, "7").result(30) == 7


def test_the_last_of_several_servers_closes_the_executor(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        number = environ["wsgiorg.executor"].submit(int, "7").result(30)
        start_response("200 OK", [])
        return [b"%d" % number]

    executor = Executor(1)
    first, second = (serve(application, executor=executor) for _ in range(2))
    assert first.get().body == b"7"
    first.stop()
    assert second.get().body == b"7"
    second.stop()
    with pytest.raises(RuntimeError, match="its server is not running"):
        executor.submit(int)


def test_names_of_futures(executor: Executor) -> None:
    future = executor.submit(int, "7")
    assert future.remember("a") is future
    with pytest.raises(NameError, match="'a'"):
        executor.submit(int).remember("a")
    assert executor.futures["a"] is future
    assert dict(executor.futures) == {"a": future}
    future.forget()
    assert len(executor.futures) == 0
    with pytest.raises(KeyError):
        executor.futures["a"]
    assert future.result(30) == 7


def test_a_future_is_forgotten_some_time_after_its_end(executor: Executor) -> None:
    leave = threading.Event()
    future = executor.submit(leave.wait, 30).remember("a", lifespan=0)
    assert list(executor.futures) == ["a"]
    leave.set()
    future.result(30)
    until = time.monotonic() + 30
    while "a" in executor.futures:
        assert time.monotonic() < until
    executor.submit(int).remember("a")


def test_a_future_that_waits_longer_than_its_timeout_is_cancelled(executor: Executor) -> None:
    leave = threading.Event()
    executor.submit(leave.wait, 30)
    future = executor.submit(int)
    future.timeout = 0
    leave.set()
    with pytest.raises(CancelledError):
        future.result(30)


def test_errors_and_map(executor: Executor) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        executor.submit(int, "x").result(30)
    assert list(executor.map(int, "123")) == [1, 2, 3]


def test_the_number_of_threads_is_positive() -> None:
    with pytest.raises(ValueError, match="max_threads must be at least 1"):
        Executor(0)

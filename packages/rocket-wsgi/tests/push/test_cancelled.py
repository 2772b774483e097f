"""``rocket.cancelled``: a view finds out that its answer is not wanted any more."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Serve
from rocket_core import compiled
from rocket_core._system.poller import SelectorPoller
from rocket_core.testing import PATIENCE, at_growing_scales, eventually, within
from rocket_wsgi import AccessLog, Cancelled, CancelledBy

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]
View = Callable[[Any], object]

GET = b"GET /view HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Asking:
    """An application whose ``/view`` does something with ``rocket.cancelled``."""

    def __init__(self, view: View, *, asks: bool = True) -> None:
        """``asks``: it has asked once before `begun` is set, and so is to be told afterwards."""
        self._view = view
        self._asks = asks
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.result: object = None
        self.error: BaseException | None = None
        self.cancelled: Any = None
        self.environ: Environ = {}

    def __call__(self, environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/view":
            self.environ = environ.copy()
            self.cancelled = environ["rocket.cancelled"]
            if self._asks:
                assert not self.cancelled.is_set()
            self.begun.set()
            try:
                self.result = self._view(self.cancelled)
            except BaseException as error:
                self.error = error
                raise
            finally:
                self.ended.set()
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    def reason(self) -> CancelledBy:
        """Why the view was cancelled."""
        assert self.ended.wait(PATIENCE)
        assert isinstance(self.error, Cancelled), self.error
        return self.error.by


def wait_and_raise(cancelled: Any) -> None:
    assert cancelled.wait(PATIENCE)
    cancelled.raise_if()


@pytest.mark.parametrize("threads", [1, 2])
def test_view_that_waits_is_told_that_the_client_has_left(serve: Serve, threads: int) -> None:
    """With one thread, the Monitor's thread polls."""
    application = Asking(wait_and_raise)
    client = serve(application, threads=threads).open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.close()
    assert application.reason() is CancelledBy.CLIENT


def test_every_request_of_a_connection_is_watched(serve: Serve) -> None:
    """The socket is registered at another time for the first one, and others follow."""
    application = Asking(lambda cancelled: cancelled.is_set() or cancelled.wait(0.001))
    served = serve(application)
    client = served.open()
    for _ in range(3):
        client.send(GET)
        assert client.answer().body == b"done"
        assert application.result is False
        client.send(QUICK)
        assert client.answer().body == b"done"
    application = Asking(wait_and_raise)
    client = serve(application).open()
    for _ in range(3):
        client.send(QUICK)
        assert client.answer().body == b"done"
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.close()
    assert application.reason() is CancelledBy.CLIENT


def test_client_that_has_left_before_the_view_asks_is_found(serve: Serve) -> None:
    def view(cancelled: Any) -> bool:
        eventually(cancelled)  # which is `rocket.client_gone`, too
        return bool(cancelled.is_set())

    application = Asking(view, asks=False)
    client = serve(application).open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.close()
    assert application.ended.wait(PATIENCE)
    assert application.result is True


@pytest.mark.http1
@pytest.mark.skipif(compiled, reason="what is compiled does not look the poller up")
def test_system_that_does_not_tell(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Monitor's thread looks from time to time."""
    monkeypatch.setattr("rocket_core._engine.monitor.default_poller", SelectorPoller)
    application = Asking(wait_and_raise)
    client = serve(application).open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.close()
    assert application.reason() is CancelledBy.CLIENT


@pytest.mark.http1
def test_pipelined_request_is_not_taken_for_the_end(serve: Serve) -> None:
    application = Asking(lambda cancelled: cancelled.wait(0.05))
    client = serve(application).open()
    client.send(GET + QUICK + GET)
    for _ in range(3):
        assert client.answer().body == b"done"
        assert application.result is False


@pytest.mark.http1
def test_client_that_closes_its_side_is_told_of_as_by_client_gone(serve: Serve) -> None:
    application = Asking(lambda cancelled: cancelled.wait(PATIENCE))
    client = serve(application).open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.half_close()
    assert client.answer().body == b"done"
    assert application.result is True


def test_callbacks_are_called_once_and_an_error_is_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    thread: list[str] = []

    def fail() -> None:
        calls.append("first")
        thread.append(threading.current_thread().name)
        raise RuntimeError("cannot cancel")

    def view(cancelled: Any) -> None:
        cancelled.on(fail)
        cancelled.on(lambda: calls.append("second"))
        wait_and_raise(cancelled)

    application = Asking(view)
    served = serve(application)
    client = served.open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.close()
    eventually(lambda: len(calls) == 2)
    assert application.ended.wait(PATIENCE)
    # One that comes late is called as well, though the request may be over by then.
    application.cancelled.on(lambda: calls.append("late"))
    eventually(lambda: len(calls) == 3)
    assert sorted(calls) == ["first", "late", "second"]
    assert thread == ["rocket-cancelled"]
    served.stop()
    assert "a callback of rocket.cancelled failed" in caplog.text
    assert "cannot cancel" in caplog.text


def test_nothing_is_called_of_a_request_that_is_over(serve: Serve) -> None:
    calls: list[str] = []
    application = Asking(lambda cancelled: cancelled.on(lambda: calls.append("called")))
    client = serve(application).open()
    client.send(GET)
    assert client.answer().body == b"done"
    cancelled = application.cancelled
    eventually(cancelled.is_set)
    assert cancelled.wait()
    cancelled.on(lambda: calls.append("called"))
    client.close()
    with pytest.raises(Cancelled) as caught:
        cancelled.raise_if()
    assert caught.value.by is CancelledBy.END
    assert not calls


def test_view_that_ends_with_it_is_no_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "access")
    log = AccessLog(logging.getLogger("access"))
    application = Asking(wait_and_raise)
    served = serve(application, access_log=log)
    client = served.open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.close()
    assert application.reason() is CancelledBy.CLIENT
    served.stop()
    log.close()
    assert "Traceback" not in caplog.text
    assert '" - 0 ' in caplog.text


def test_time_limit_of_the_server(serve: Serve) -> None:
    remaining: list[float] = []

    def view(cancelled: Any) -> None:
        remaining.append(cancelled.remaining())
        wait_and_raise(cancelled)

    def told(scale: float) -> None:
        limit = 0.2 * scale
        application = Asking(view)
        client = serve(application, server={"request_timeout": limit}).open()
        client.send(GET)
        with within(limit * 2):
            assert client.answer().status == 504
            assert application.reason() is CancelledBy.TIMEOUT
        assert 0 < remaining.pop() <= limit
        assert application.cancelled.remaining() == 0

    at_growing_scales(told)


def test_time_limit_that_was_over_before_the_view_asks(serve: Serve) -> None:
    answered = threading.Event()

    def view(cancelled: Any) -> None:
        assert answered.wait(PATIENCE)
        cancelled.raise_if()

    application = Asking(view, asks=False)
    client = serve(application, server={"request_timeout": 0.1}).open()
    client.send(GET)
    assert client.answer().status == 504
    answered.set()
    assert application.reason() in {CancelledBy.TIMEOUT, CancelledBy.CLIENT}


def test_no_limit(serve: Serve) -> None:
    application = Asking(lambda cancelled: cancelled.remaining())
    client = serve(application).open()
    client.send(GET)
    assert client.answer().body == b"done"
    assert application.result is None


def test_server_that_stops(serve: Serve) -> None:
    application = Asking(wait_and_raise)
    served = serve(application)
    client = served.open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    eventually(lambda: application.cancelled.remaining() is None)
    served.server.stop()
    assert application.reason() is CancelledBy.STOP


def test_end_of_a_drain(serve: Serve) -> None:
    application = Asking(wait_and_raise)
    served = serve(application, threads=1)
    client = served.open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    served.server.drain(0.1)
    assert application.reason() is CancelledBy.STOP
    assert served.server.wait(PATIENCE)


# -- deadlines of proxies ------------------------------------------------------------------------

PROXIED: dict[str, Any] = {
    "trusted_proxies": ["127.0.0.1"],
    "deadline_field": "X-Envoy-Expected-Rq-Timeout-Ms",
}


def with_deadline(value: str) -> bytes:
    fields = f"Host: a\r\nX-Envoy-Expected-Rq-Timeout-Ms: {value}\r\n"
    return f"GET /view HTTP/1.1\r\n{fields}\r\n".encode()


def test_deadline_of_a_proxy(serve: Serve) -> None:
    """The proxy waits a little longer than it says, so that it gets an answer."""
    remaining: list[float] = []

    def view(cancelled: Any) -> None:
        remaining.append(cancelled.remaining())
        wait_and_raise(cancelled)

    application = Asking(view)
    served = serve(application, **PROXIED)
    client = served.open()
    client.send(with_deadline("100"))
    assert client.answer().status == 504
    assert application.reason() is CancelledBy.DEADLINE
    assert remaining[0] <= 0.1
    assert application.environ["rocket.timeout"] == 0.1
    client.send(QUICK)
    assert client.answer().body == b"done"


def test_deadline_that_is_far_away(serve: Serve) -> None:
    def view(cancelled: Any) -> object:
        return cancelled.is_set(), cancelled.remaining()

    application = Asking(view)
    client = serve(application, **PROXIED).open()
    for _ in range(2):  # over HTTP/2, the second one is the same block of fields
        client.send(with_deadline("60000"))
        assert client.answer().body == b"done"
        result = application.result
        assert isinstance(result, tuple)
        assert not result[0]
        assert 0 < result[1] <= 60


def test_deadlines_of_others_are_removed(serve: Serve) -> None:
    application = Asking(lambda cancelled: cancelled.remaining())
    client = serve(application, **{**PROXIED, "trusted_proxies": ["10.0.0.1"]}).open()
    client.send(with_deadline("1"))
    assert client.answer().body == b"done"
    assert application.result is None
    assert "HTTP_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS" not in application.environ


def test_malformed_deadline(serve: Serve) -> None:
    client = serve(Asking(wait_and_raise), **PROXIED).open()
    client.send(with_deadline("soon"))
    assert client.answer().status == 400


# -- guards --------------------------------------------------------------------------------------


class Statement:
    """What runs in a database until it is cancelled."""

    def __init__(self, *, deaf: int = 0) -> None:
        self.calls = 0
        self._deaf = deaf
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self.calls += 1
        if self.calls > self._deaf:
            self._cancelled.set()

    def run(self) -> None:
        assert self._cancelled.wait(PATIENCE)
        raise RuntimeError("the statement was cancelled")


@pytest.mark.parametrize("deaf", [0, 1], ids=["at once", "at the second call"])
def test_guard_interrupts_its_block(serve: Serve, deaf: int) -> None:
    statement = Statement(deaf=deaf)

    entered = threading.Event()

    def view(cancelled: Any) -> None:
        with cancelled.guard(statement.cancel):
            entered.set()
            statement.run()

    application = Asking(view)
    client = serve(application).open()
    client.send(GET)
    assert entered.wait(PATIENCE)
    client.close()
    assert application.reason() is CancelledBy.CLIENT
    assert str(application.error.__cause__) == "the statement was cancelled"  # type: ignore[union-attr]
    assert statement.calls == deaf + 1


def test_guard_waits_for_its_callback(serve: Serve) -> None:
    """What the block has used may serve another request next."""
    entered, begun, leave = threading.Event(), threading.Event(), threading.Event()
    order: list[str] = []

    def cancel() -> None:
        begun.set()
        assert leave.wait(PATIENCE)
        order.append("called")

    def view(cancelled: Any) -> None:
        with cancelled.guard(cancel):
            entered.set()
            assert begun.wait(PATIENCE)
            threading.Timer(0.1, leave.set).start()
        order.append("left")

    application = Asking(view)
    client = serve(application).open()
    client.send(GET)
    assert entered.wait(PATIENCE)
    client.close()
    assert application.ended.wait(PATIENCE)
    assert order == ["called", "left"]


def test_block_that_is_over_is_not_interrupted(serve: Serve) -> None:
    """Its own error stays, and one that is entered afterwards raises at once."""
    statement = Statement()

    def view(cancelled: Any) -> None:
        with pytest.raises(KeyError), cancelled.guard(statement.cancel):
            raise KeyError
        assert cancelled.wait(PATIENCE)
        with cancelled.guard(statement.cancel):
            pytest.fail("the block was entered")

    application = Asking(view)
    client = serve(application).open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.close()
    assert application.reason() is CancelledBy.CLIENT
    assert not statement.calls


def test_two_threads_of_the_application_wait(serve: Serve) -> None:
    results: list[bool] = []

    def view(cancelled: Any) -> None:
        other = threading.Thread(target=lambda: results.append(cancelled.wait(PATIENCE)))
        other.start()
        results.append(cancelled.wait(PATIENCE))
        other.join(PATIENCE)

    application = Asking(view)
    client = serve(application).open()
    client.send(GET)
    assert application.begun.wait(PATIENCE)
    client.close()
    assert application.ended.wait(PATIENCE)
    assert results == [True, True]


def test_thread_that_goes_on_is_told_that_the_request_is_over(serve: Serve) -> None:
    results: list[bool] = []
    others: list[threading.Thread] = []

    def view(cancelled: Any) -> None:
        assert not cancelled.is_set()
        other = threading.Thread(target=lambda: results.append(cancelled.wait(PATIENCE)))
        other.start()
        others.append(other)

    client = serve(Asking(view)).open()
    client.send(GET)
    assert client.answer().body == b"done"
    others[0].join(PATIENCE)
    assert results == [True]


def test_wait_has_a_limit(serve: Serve) -> None:
    def view(cancelled: Any) -> bool:
        began = time.monotonic()
        assert not cancelled.wait(0.05)
        return time.monotonic() - began >= 0.05

    application = Asking(view)
    client = serve(application).open()
    client.send(GET)
    assert client.answer().body == b"done"
    assert application.result is True

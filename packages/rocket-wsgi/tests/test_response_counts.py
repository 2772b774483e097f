"""Responses are counted by class of status, and the server's own by status as well."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import rocket_core
import rocket_wsgi
from http2_client import HTTP2Client
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi.extending import OWN_STATUSES

if TYPE_CHECKING:
    from conftest import Serve
    from served import Served

Environ = dict[str, Any]
Get = Callable[..., Any]


class Application:
    """Answers with the status that the path has; ``/hold`` waits, and ``/later`` is deferred."""

    def __init__(self) -> None:
        self.leave = threading.Event()
        self.entered = threading.Event()

    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        match environ["PATH_INFO"]:
            case "/crash":
                raise RuntimeError
            case "/hold":
                self.entered.set()
                assert self.leave.wait(PATIENCE)
            case "/later":
                later = environ["rocket.deferred"].hold()
                later.answer("202 Accepted", [], b"later")
            case "/events":
                environ["rocket.events"].open(retry=None).close()
            case "/websocket":
                environ["rocket.websocket"].accept(object())
            case path if path[1:].isdigit():
                start_response(f"{path[1:]} Whatever", [])
                return [b"text"]
        start_response("200 OK", [])
        return [b"text"]


@pytest.fixture
def application() -> Iterator[Application]:
    made = Application()
    yield made
    made.leave.set()


@pytest.fixture(params=["http/1.1", "h2"])
def ask(request: pytest.FixtureRequest) -> Iterator[Callable[[Served], Get]]:
    """Returns a function that sends a request over HTTP/1.1 or HTTP/2."""
    with ExitStack() as stack:

        def connect(served: Served) -> Get:
            if request.param == "http/1.1":
                return served.get
            return stack.enter_context(HTTP2Client(served.address)).get

        yield connect


def counted(served: Served) -> dict[str, int]:
    """Return the classes that have responses."""
    return {name: count for name, count in served.server.statistics().responses.items() if count}


def own(served: Served) -> dict[str, int]:
    return served.server.statistics().own_responses


def timed(served: Served) -> dict[str, int]:
    times = served.server.statistics().service_times
    return {name: each.count for name, each in times.items() if each.count}


def test_responses_of_the_application(
    serve: Serve, application: Application, ask: Callable[[Served], Get]
) -> None:
    served = serve(application, h2c=True)
    get = ask(served)
    for status in (200, 204, 301, 404, 404, 500, 999):
        assert get(f"/{status}").status == status
    eventually(lambda: counted(served) == {"2xx": 2, "3xx": 1, "4xx": 2, "5xx": 2})
    eventually(lambda: timed(served) == counted(served))
    assert own(served) == {}


def test_application_that_fails(
    serve: Serve, application: Application, ask: Callable[[Served], Get]
) -> None:
    served = serve(application, h2c=True)
    assert ask(served)("/crash").status == 500
    eventually(lambda: counted(served) == {"5xx": 1})
    eventually(lambda: own(served) == {"500": 1})


def test_504_is_counted_when_it_is_sent(
    serve: Serve, application: Application, ask: Callable[[Served], Get]
) -> None:
    served = serve(application, threads=1, h2c=True, server={"request_timeout": 0.1})
    assert ask(served)("/hold").status == 504
    eventually(lambda: own(served) == {"504": 1})
    assert counted(served) == {"5xx": 1}
    application.leave.set()
    eventually(lambda: timed(served) == {"5xx": 1})
    assert counted(served) == {"5xx": 1}


def test_503_is_counted_when_it_is_sent(
    serve: Serve, application: Application, ask: Callable[[Served], Get]
) -> None:
    served = serve(application, threads=1, h2c=True, server={"queue_timeout": 0.1})
    served.open().send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    assert application.entered.wait(PATIENCE)
    assert ask(served)("/200").status == 503
    eventually(lambda: own(served) == {"503": 1})
    assert counted(served) == {"5xx": 1}
    assert timed(served) == {}


def test_what_is_malformed(serve: Serve, application: Application) -> None:
    served = serve(application)
    assert served.exchange(b"GET / HTTP/1.1\r\n\r\n").status == 400
    assert served.exchange(b"GET / HTTP/3.7\r\nHost: a\r\n\r\n").status == 505
    eventually(lambda: own(served) == {"400": 1, "505": 1})
    assert counted(served) == {"4xx": 1, "5xx": 1}


def test_health_checks_are_not_counted(
    serve: Serve, application: Application, ask: Callable[[Served], Get]
) -> None:
    """A load balancer asks for them all the time, and gets 503 from a server that drains."""
    served = serve(application, health="/healthz", h2c=True)
    get = ask(served)
    assert get("/healthz").status == 200
    assert get("/404").status == 404
    eventually(lambda: counted(served) == {"4xx": 1})
    assert own(served) == {}


def test_deferred_answer_and_event_stream(
    serve: Serve, application: Application, ask: Callable[[Served], Get]
) -> None:
    served = serve(application, h2c=True)
    get = ask(served)
    assert get("/later").status == 202
    eventually(lambda: counted(served) == {"2xx": 1})
    eventually(lambda: timed(served)["none"] >= 1)
    assert get("/events").status == 200
    eventually(lambda: counted(served) == {"2xx": 2})


def test_websocket(serve: Serve, application: Application) -> None:
    served = serve(application)
    client = served.open()
    client.send(
        b"GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    eventually(lambda: counted(served) == {"1xx": 1})
    assert (
        served.exchange(
            b"GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).status
        == 426
    )
    eventually(lambda: own(served) == {"426": 1})
    assert counted(served) == {"1xx": 1, "4xx": 1}


def test_client_that_leaves_gets_no_response(serve: Serve, application: Application) -> None:
    served = serve(application, threads=1)
    client = served.open()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    assert application.entered.wait(PATIENCE)
    client.close()
    application.leave.set()
    eventually(lambda: served.server.statistics().service_time.count == 1)
    assert own(served) == {}


def test_every_status_of_the_server_is_known() -> None:
    """Metrics have a series for each of them from the start."""
    found: set[int] = set()
    for package in (rocket_core, rocket_wsgi):
        for path in Path(*package.__path__).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for pattern in (
                r"\b(?:HeadError|make_refusal)\(\s*(\d{3})",
                r"\b(?:OwnAnswer|Refused|Refusal)\(\s*\"(\d{3}) ",
                r"^\w+: Final = \"([45]\d\d) \w+ Implemented\"",
            ):
                found |= set(map(int, re.findall(pattern, text, re.MULTILINE)))
    assert len(found) > 10
    assert found <= set(OWN_STATUSES)

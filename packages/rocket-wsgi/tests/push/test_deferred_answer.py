from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import SharedConnection
from rocket_core.testing import NARROW, PATIENCE, eventually
from rocket_wsgi import ApplicationError
from views import Views, due, get, parked, plain, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse

    from conftest import Serve
    from rocket_wsgi import DeferredAnswer


@pytest.fixture
def views() -> Views:
    return Views()


def test_answer_from_any_thread(serve: Serve, views: Views) -> None:
    served = serve(views.poll(), threads=1)
    client = served.open()
    client.send(get())
    later = views.later()
    eventually(lambda: parked(served))
    assert served.get("/other").body == b"plain"
    assert not later.gone
    assert later.answer("200 OK", [("Content-Type", "application/json")], b"{}")
    answer = client.answer()
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Length"] == "2"
    assert views.ended() is later
    assert not later.gone
    assert not later.answer("200 OK", [], b"again")
    client.send(get("/other"))
    assert client.answer().body == b"plain"
    assert views.closed.empty()


def test_waiting_client_holds_no_thread(serve: Serve, views: Views) -> None:
    served = serve(views.poll(), threads=1)
    clients = [served.open() for _ in range(20)]
    for client in clients:
        client.send(get())
    waiting = [views.later() for _ in clients]
    eventually(lambda: parked(served) == 20)
    for later in waiting:
        assert later.answer("200 OK", [], b"now")
    assert [client.answer().body for client in clients] == [b"now"] * 20


def test_answer_that_is_given_before_the_view_returns(serve: Serve, views: Views) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/other":
            return plain(environ, start_response)
        later = environ["rocket.deferred"].hold(on_close=views.closed.put)
        assert not later.gone
        assert later.answer("201 Created", [("X-Answer", "yes")], b"at once")
        assert not later.answer("200 OK", [], b"twice")
        start_response("200 OK", [("X-View", "yes")])
        return [b"never"]

    client = serve(view).open()
    client.send(get())
    answer = client.answer()
    assert (answer.status, answer.body) == (201, b"at once")
    assert answer["X-View"] == answer["X-Answer"] == "yes"
    assert not views.ended().gone
    client.send(get("/other"))
    assert client.answer().body == b"plain"


def test_fields_of_the_view_are_sent_unless_the_answer_names_them(
    serve: Serve, views: Views
) -> None:
    fields = [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Access-Control-Allow-Origin", "*"),
        ("Cache-Control", "max-age=60"),
        ("Content-Type", "text/html"),
        ("Content-Language", "en"),
        ("Content-Length", "7"),
        ("Content-Location", "/view"),
        ("Content-Disposition", "attachment"),
        ("Content-Digest", "sha-256=:AA==:"),
        ("Repr-Digest", "sha-256=:AA==:"),
        ("Digest", "sha-256=AA=="),
        ("Last-Modified", "Sun, 29 Nov 2026 12:00:00 GMT"),
        ("Content-Security-Policy", "default-src 'self'"),
        ("content-security-policy-report-only", "img-src 'none'"),
        ("ETag", '"view"'),
    ]
    client = serve(views.poll(body=[b"ignored"], fields=fields)).open()
    client.send(get())
    assert views.later().answer("200 OK", [("cache-control", "no-store")], b"hello")
    answer = client.answer()
    assert answer.body == b"hello"
    cookies = [value for name, value in answer.fields if name == "set-cookie"]
    assert cookies == ["a=1", "b=2"]
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Length"] == "5"
    assert answer["Content-Security-Policy"] == "default-src 'self'"
    assert answer["Content-Security-Policy-Report-Only"] == "img-src 'none'"
    kept = {"set-cookie", "access-control-allow-origin", "cache-control", "content-length"}
    kept |= {"content-security-policy", "content-security-policy-report-only"}
    assert {name for name, _ in answer.fields} - {"date", "server"} == kept


def test_fields_of_the_server_are_sent(serve: Serve, views: Views) -> None:
    from rocket_wsgi import RequestIds  # noqa: PLC0415 - for this test only

    client = serve(views.poll(), request_ids=RequestIds(echo=True)).open()
    client.send(get())
    views.later().answer("200 OK", [], b"x")
    assert client.answer()["X-Request-ID"]


def test_view_is_asked_to_its_end_and_its_body_is_not_sent(serve: Serve, views: Views) -> None:
    steps: list[str] = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        later = environ["rocket.deferred"].hold()
        start_response("200 OK", [])
        yield b"one"
        yield b"two"
        steps.append("end")
        views.answers.put(later)

    client = serve(view).open()
    client.send(get())
    assert views.later().answer("200 OK", [], b"late")
    assert client.answer().body == b"late"
    assert steps == ["end"]


def test_write_of_the_view_is_not_sent(serve: Serve, views: Views) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        views.answers.put(environ["rocket.deferred"].hold())
        start_response("200 OK", [])(b"written")
        return [b"returned"]

    client = serve(view).open()
    client.send(get())
    views.later().answer("200 OK", [], b"late")
    assert client.answer().body == b"late"


@pytest.mark.parametrize("status", ["300 Multiple Choices", "302 Found", "503 Service Unavailable"])
def test_status_of_300_and_more_is_sent_instead(serve: Serve, views: Views, status: str) -> None:
    client = serve(views.poll(status, body=[b"no"])).open()
    client.send(get())
    answer = client.answer()
    assert (answer.status, answer.body) == (int(status[:3]), b"no")
    later = views.ended()
    assert later is views.later()
    assert not later.gone
    assert not later.answer("200 OK", [], b"late")
    client.send(get("/other"))
    assert client.answer().body == b"plain"


def test_view_that_fails_is_answered_500_even_within_its_body(serve: Serve, views: Views) -> None:
    def broken() -> Iterator[bytes]:
        yield b"withheld"
        raise RuntimeError("a fault of the view")

    client = serve(views.poll(body=broken())).open()
    client.send(get())
    assert client.answer().status == 500
    assert not views.ended().answer("200 OK")
    client.send(get("/other"))
    assert client.answer().body == b"plain"


def test_view_that_calls_no_start_response_is_answered_500(serve: Serve, views: Views) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        environ["rocket.deferred"].hold(on_close=views.closed.put)
        return []

    assert serve(view).get().status == 500
    views.ended()


# -- otherwise -------------------------------------------------------------------------------------


def test_otherwise_is_sent_at_the_time_out(serve: Serve, views: Views) -> None:
    otherwise = ("202 Accepted", [("X-Otherwise", "yes")], b"nothing new")
    client = serve(views.poll(timeout=0.05, otherwise=otherwise, fields=[("X-View", "y")])).open()
    client.send(get())
    answer = client.answer()
    assert (answer.status, answer.body) == (202, b"nothing new")
    assert answer["X-Otherwise"] == "yes"
    assert answer["X-View"] == "y"
    later = views.ended()
    assert not later.gone
    assert not later.answer("200 OK", [], b"late")
    client.send(get("/other"))
    assert client.answer().body == b"plain"


def test_otherwise_is_204_unless_the_application_says_so(serve: Serve, views: Views) -> None:
    client = serve(views.poll(timeout=0.05)).open()
    client.send(get())
    answer = client.answer()
    assert answer.status == 204
    assert "Content-Length" not in answer
    client.send(get("/other"))
    assert client.answer().body == b"plain"


def test_time_begins_with_hold(serve: Serve, views: Views) -> None:
    """The time-out was over when the view returned."""

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        environ["rocket.deferred"].hold(timeout=1e-6)
        start_response("200 OK", [])
        return []

    assert serve(view).get().status == 204


def test_time_out_is_25_seconds_unless_the_application_says_otherwise(
    serve: Serve, views: Views
) -> None:
    served = serve(views.poll())
    client = served.open()
    before = monotonic()
    client.send(get())
    eventually(lambda: parked(served) == 1)
    after = monotonic()
    shared = views.later()._shared
    assert shared is not None
    eventually(lambda: before + 25.0 <= due(shared) <= after + 25.0)


def test_without_a_time_out_there_is_no_deadline(serve: Serve, views: Views) -> None:
    served = serve(views.poll(timeout=None))
    client = served.open()
    client.send(get())
    later = views.later()
    eventually(lambda: parked(served))
    shared = later._shared
    assert shared is not None
    eventually(lambda: due(shared) == float("inf"))


def test_otherwise_is_sent_at_a_drain(serve: Serve, views: Views) -> None:
    otherwise: tuple[str, list[tuple[str, str]], bytes] = ("200 OK", [], b"drained")
    served = serve(views.poll(otherwise=otherwise))
    clients = [served.open() for _ in range(5)]
    for client in clients:
        client.send(get())
    eventually(lambda: parked(served) == 5)
    served.server.drain(PATIENCE)
    for client in clients:
        answer = client.answer()
        assert answer.body == b"drained"
        assert answer.version == "HTTP/2" or answer["Connection"] == "close"
        assert client.closed_by_server()
    assert {views.ended() for _ in clients} == {views.later() for _ in clients}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": 0.0}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"otherwise": ("200", [], b"")}, ApplicationError),
        ({"otherwise": ("200 OK", [("bad name", "x")], b"")}, ApplicationError),
        ({"otherwise": ("200 OK", [], "text")}, TypeError),
    ],
)
def test_terms_that_cannot_be_kept(
    serve: Serve, options: dict[str, Any], error: type[Exception]
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        with pytest.raises(error):
            environ["rocket.deferred"].hold(**options)
        return plain(environ, start_response)

    assert serve(view).get().body == b"plain"


# -- the answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("200",), ApplicationError),
        (("100 Continue",), ApplicationError),
        (("200 OK", [("X", "a\nb")]), ApplicationError),
        (("200 OK", [("Connection", "close")]), ApplicationError),
        (("200 OK", [("Content-Length", "9")], b"short"), ApplicationError),
        (("200 OK", [], "text"), TypeError),
    ],
)
def test_invalid_answer_is_an_error_and_changes_nothing(
    serve: Serve, views: Views, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    client = serve(views.poll()).open()
    client.send(get())
    later = views.later()
    with pytest.raises(error):
        later.answer(*arguments)
    assert later.answer("200 OK", [("Content-Length", "4")], b"good")
    assert client.answer().body == b"good"


def test_head_gets_no_body(serve: Serve, views: Views) -> None:
    client = serve(views.poll()).open()
    client.send(get(method="HEAD"))
    assert views.later().answer("200 OK", [], b"hello")
    answer = client.answer("HEAD")
    assert answer["Content-Length"] == "5"
    client.send(get("/other"))
    assert client.answer().body == b"plain"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_status_without_a_body(serve: Serve, views: Views, status: str) -> None:
    client = serve(views.poll()).open()
    client.send(get())
    assert views.later().answer(status, [], b"ignored")
    assert client.answer().status == int(status[:3])
    client.send(get("/other"))
    assert client.answer().body == b"plain"


def test_large_answer_to_a_slow_client(serve: Serve, views: Views) -> None:
    client = serve(views.poll(), narrow=True).open(receive_buffer=NARROW)
    client.send(get())
    body = bytes(range(256)) * 8192
    assert views.later().answer("200 OK", [], body)
    assert client.answer().body == body
    client.send(get("/other"))
    assert client.answer().body == b"plain"


@pytest.mark.http1
def test_what_was_pipelined_waits_for_the_answer(serve: Serve, views: Views) -> None:
    served = serve(views.poll())
    client = served.open()
    client.send(get() + get("/other") + get("/other"))
    later = views.later()
    eventually(lambda: parked(served) == 1)
    assert served.server.statistics().requests == 1
    later.answer("200 OK", [], b"first")
    assert [client.answer().body for _ in range(3)] == [b"first", b"plain", b"plain"]


@pytest.mark.http1
def test_much_that_was_pipelined_waits_for_the_answer(serve: Serve, views: Views) -> None:
    served = serve(views.poll(), narrow=True)
    client = served.open()
    count = 3000
    sender = threading.Thread(target=client.send, args=(get() + get("/other") * count,))
    sender.start()
    later = views.later()
    eventually(lambda: later._shared is not None)
    shared = later._shared
    assert isinstance(shared, SharedConnection)
    eventually(lambda: not shared.reads)
    assert shared.connection.buffered < 64 * 1024
    later.answer("200 OK", [], b"first")
    assert client.answer().body == b"first"
    for _ in range(count):
        assert client.answer().body == b"plain"
    sender.join(PATIENCE)


@pytest.mark.http1
@pytest.mark.parametrize(
    ("version", "field", "kept"),
    [
        ("1.1", "Connection: close", False),
        ("1.0", "X: y", False),
        ("1.0", "Connection: keep-alive", True),
    ],
)
def test_connection_is_kept_as_after_any_response(
    serve: Serve, views: Views, version: str, field: str, kept: bool
) -> None:
    client = serve(views.poll()).open()
    client.send(get("/", field, version=version))
    assert views.later().answer("200 OK", [], b"answer")
    answer = client.answer()
    assert answer.body == b"answer"
    assert answer["Connection"] == ("keep-alive" if kept else "close")
    if kept:
        client.send(get("/other"))
        assert client.answer().body == b"plain"
    else:
        assert client.closed_by_server()


# -- clients that leave ----------------------------------------------------------------------------


@pytest.mark.parametrize("leave", ["half_close", "reset", "leave"])
def test_client_that_leaves_is_gone(serve: Serve, views: Views, leave: str) -> None:
    served = serve(views.poll())
    client = served.open()
    client.send(get())
    later = views.later()
    eventually(lambda: parked(served))
    getattr(client, leave, client.close)()
    assert views.ended() is later
    assert later.gone
    assert not later.answer("200 OK", [], b"nobody reads this")
    assert views.closed.empty()


def test_client_that_leaves_while_the_view_runs_is_gone(serve: Serve, views: Views) -> None:
    left = threading.Event()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        later: DeferredAnswer = environ["rocket.deferred"].hold(on_close=views.closed.put)
        views.answers.put(later)
        wait_for(left)
        eventually(lambda: later.gone)
        start_response("200 OK", [])
        return []

    client = serve(view).open()
    client.send(get())
    later = views.later()
    client.close()
    left.set()
    assert views.ended() is later
    assert later.gone


def test_answer_and_departure_at_once_end_it_once(serve: Serve, views: Views) -> None:
    served = serve(views.poll())
    for _ in range(30):
        client = served.open()
        client.send(get())
        later = views.later()
        answering = threading.Thread(target=later.answer, args=("200 OK", [], b"x"))
        answering.start()
        client.close()
        answering.join(PATIENCE)
        assert views.ended() is later
    assert views.closed.empty()
    eventually(lambda: not served.server.statistics().shared)


def test_stop_ends_it_without_an_answer(serve: Serve, views: Views) -> None:
    served = serve(views.poll())
    client = served.open()
    client.send(get())
    later = views.later()
    eventually(lambda: parked(served))
    served.stop()
    assert client.closed_by_server()
    assert views.ended() is later
    assert not later.gone
    assert not later.answer("200 OK")

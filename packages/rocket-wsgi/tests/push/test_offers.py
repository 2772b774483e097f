"""What all offers share, whichever is used."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import io
import json
import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest

from rocket_core.testing import NARROW, PATIENCE, eventually
from rocket_wsgi import AccessLog, Executor
from rocket_wsgi._websocket.handshake import accept_key
from views import EVENTS, Views, get, parked, plain, pushed, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse

    from conftest import Serve
    from rocket_core.testing import Client

HANDSHAKE = get(
    "/",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)

Use = "Callable[[dict[str, Any]], Any]"


@pytest.fixture
def views() -> Views:
    return Views()


def use_events(environ: dict[str, Any], **options: Any) -> Any:
    return environ["rocket.events"].open(retry=None, **options)


def use_deferred(environ: dict[str, Any], **options: Any) -> Any:
    return environ["rocket.deferred"].hold(**options)


BOTH = pytest.mark.parametrize("use", [use_events, use_deferred])


def go_on(client: Client, begun: Any) -> bytes:
    """Send something by what was begun; what the client gets."""
    if hasattr(begun, "send"):
        assert client.head().status == 200
        assert begun.send("x")
        return client.chunk()
    assert begun.answer("200 OK", [], b"answer")
    return client.answer().body


# -- the offers ------------------------------------------------------------------------------------


@BOTH
def test_offer_works_from_a_copy_of_the_environ(serve: Serve, use: Any) -> None:
    begun = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        begun.append(use(dict(environ)))
        start_response("200 OK", EVENTS)
        return []

    client = serve(view).open()
    client.send(get())
    eventually(lambda: begun)
    assert go_on(client, begun[0])


@BOTH
def test_offer_works_from_another_thread_of_the_view(serve: Serve, use: Any) -> None:
    begun = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        thread = threading.Thread(target=lambda: begun.append(use(environ)))
        thread.start()
        thread.join()
        start_response("200 OK", EVENTS)
        return []

    client = serve(view).open()
    client.send(get())
    eventually(lambda: begun)
    assert go_on(client, begun[0])


@BOTH
@pytest.mark.parametrize("other", [use_events, use_deferred])
def test_offer_is_used_once_and_alone(serve: Serve, use: Any, other: Any) -> None:
    begun = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        begun.append(use(environ))
        with pytest.raises(RuntimeError, match="only one offer"):
            other(environ.copy())
        start_response("200 OK", EVENTS)
        return []

    client = serve(view).open()
    client.send(get())
    eventually(lambda: begun)
    assert go_on(client, begun[0])


@BOTH
def test_offer_is_over_when_the_view_has_returned(serve: Serve, use: Any) -> None:
    kept: list[dict[str, Any]] = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        kept.append(dict(environ))
        return plain(environ, start_response)

    client = serve(view, threads=1).open()
    for _ in range(2):
        client.send(get())
        assert client.answer().body == b"plain"
        for environ in kept:
            eventually(environ["rocket.client_gone"])
            with pytest.raises(RuntimeError, match="after the view had returned"):
                use(environ)


@BOTH
def test_offer_of_an_earlier_request_is_over_during_the_next_one(serve: Serve, use: Any) -> None:
    kept: list[dict[str, Any]] = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        if kept:
            with pytest.raises(RuntimeError):
                use(kept[0])
        kept.append(environ)
        return plain(environ, start_response)

    client = serve(view, threads=1).open()
    for _ in range(2):
        client.send(get())
        assert client.answer().body == b"plain"


@BOTH
def test_offer_is_over_when_the_response_has_begun(serve: Serve, use: Any) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield b"ab"
        with pytest.raises(RuntimeError, match="after the response had begun"):
            use(environ)
        yield b"cd"

    assert serve(view).get().body == b"abcd"


@pytest.mark.http1
@BOTH
def test_offer_excludes_the_socket(serve: Serve, use: Any) -> None:
    tried = threading.Event()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        environ["rocket.socket"].sendall(b"raw")
        with pytest.raises(RuntimeError, match="only one offer"):
            use(environ)
        tried.set()
        return []

    client = serve(view).open()
    client.send(HANDSHAKE)
    assert client.read_all() == b"raw"
    wait_for(tried)


@pytest.mark.http1
def test_websocket_is_offered_for_a_valid_handshake_only(serve: Serve) -> None:
    seen: list[dict[str, Any]] = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        seen.append(environ.copy())
        return plain(environ, start_response)

    client = serve(view).open()
    for request in (
        get(),
        get("/", "Connection: upgrade", "Upgrade: other"),
        get("/", "Upgrade: websocket"),
        get("/", "Connection: upgrade, keep-alive", "Upgrade: websocket", version="1.0"),
        HANDSHAKE,
    ):
        client.send(request)
        answer = client.answer()
        assert answer.body == b"plain"
        if "1.0" in request.decode():
            client.close()
            client = serve(view).open()
    assert ["rocket.websocket" in environ for environ in seen] == [False] * 4 + [True]
    assert seen[-1]["HTTP_UPGRADE"] == "websocket"
    offer = seen[-1]["rocket.websocket"]
    assert offer.subprotocols == ()
    assert offer.origin is None
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.http1
def test_broken_handshake_is_answered_by_the_server(serve: Serve) -> None:
    client = serve(plain).open()
    client.send(HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"))
    answer = client.answer()
    assert answer.status == 400
    assert answer.body == b"Sec-WebSocket-Key is not 16 bytes in base64\n"
    client.send(get())
    assert client.answer().body == b"plain"


def test_other_version_of_the_handshake_is_answered_426(serve: Serve) -> None:
    client = serve(plain).open()
    client.send(HANDSHAKE.replace(b"Version: 13", b"Version: 8"))
    answer = client.answer()
    assert answer.status == 426
    assert answer["Sec-WebSocket-Version"] == "13"
    if answer.version != "HTTP/2":
        assert answer["Upgrade"] == "websocket"
        assert answer["Connection"] == "close, upgrade"
        assert client.closed_by_server()


# -- the view and its response ---------------------------------------------------------------------


@BOTH
def test_close_of_the_response_precedes_the_first_callback(
    serve: Serve, views: Views, use: Any
) -> None:
    """Even what is over by then is not told: it does not go on before."""
    steps: list[str] = []
    shared: list[object] = []
    closing, left = threading.Event(), threading.Event()

    class Result:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b""])

        def close(self) -> None:
            closing.set()
            wait_for(left)
            shared.extend(pushed(served.server.statistics().shared))
            steps.append("close")

    def gone(begun: object) -> None:
        steps.append("on_close")
        views.closed.put(begun)

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        use(environ, on_close=gone)
        start_response("200 OK", EVENTS)
        return Result()

    served = serve(view)
    client = served.open()
    client.send(get())
    wait_for(closing)
    client.reset()
    left.set()
    views.ended()
    assert steps == ["close", "on_close"]
    assert shared == []


@BOTH
def test_close_of_a_refusal_precedes_on_close(serve: Serve, views: Views, use: Any) -> None:
    steps: list[str] = []

    class Result(list[bytes]):
        def close(self) -> None:
            steps.append("close")

    def gone(begun: object) -> None:
        steps.append("on_close")
        views.closed.put(begun)

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        use(environ, on_close=gone)
        start_response("403 Forbidden", [])
        return Result()

    assert serve(view).get().status == 403
    views.ended()
    assert steps == ["close", "on_close"]


@BOTH
def test_validator_of_the_standard_library(serve: Serve, use: Any) -> None:
    begun = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        assert type(environ) is dict
        begun.append(use(environ))
        start_response("200 OK", EVENTS)
        return [b": hi\n\n"]

    client = serve(validator(view)).open()
    client.send(get())
    eventually(lambda: begun)
    assert go_on(client, begun[0])


# -- the environ -----------------------------------------------------------------------------------


def test_environ_has_the_strings_as_the_view_has_left_them(serve: Serve, views: Views) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        stream = environ["rocket.events"].open(on_close=views.closed.put)
        assert stream.environ["PATH_INFO"] == environ["PATH_INFO"]
        environ["REMOTE_USER"] = "zoë \udc80"
        environ["framework.request"] = object()
        del environ["HTTP_X_OLD"]
        environ["PATH_INFO"] = "/shifted"
        start_response("200 OK", EVENTS)
        views.streams.put(stream)
        return []

    client = serve(view).open()
    client.send(get("/p%C3%A4th?q=1", "X-Old: 1", "X-Text: caf\xe9", "Cookie: a=b"))
    client.head()
    stream = views.stream()
    eventually(lambda: stream._shared)
    environ = stream.environ
    assert environ is not stream.environ
    assert all(type(value) is str for value in environ.values())
    assert environ["REMOTE_USER"] == "zoë \udc80"
    assert environ["PATH_INFO"] == "/shifted"
    assert environ["HTTP_X_TEXT"] == "caf\xe9"
    assert environ["QUERY_STRING"] == "q=1"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["SERVER_PROTOCOL"] in ("HTTP/1.1", "HTTP/2")
    assert "HTTP_X_OLD" not in environ
    client.close()
    assert views.ended().environ == environ


@BOTH
def test_what_is_parked_keeps_neither_objects_of_the_framework_nor_the_body(
    serve: Serve, use: Any
) -> None:
    class Request:
        pass

    kept: list[weakref.ref[Any]] = []
    begun = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        request = Request()
        assert environ["wsgi.input"].read(1) == b"x"
        kept.extend(weakref.ref(each) for each in (request, environ["wsgi.input"]))
        environ["framework.request"] = request
        begun.append(use(environ))
        start_response("200 OK", EVENTS)
        return []

    served = serve(view)
    client = served.open()
    client.send(get("/", "Content-Length: 200000", method="POST") + b"x" * 200_000)
    eventually(lambda: parked(served) == 1)
    eventually(lambda: (gc.collect(), [each() for each in kept])[1] == [None, None])
    assert served.server._server_state.input.held == 0
    assert go_on(client, begun[0])


# -- callbacks -------------------------------------------------------------------------------------

TOLD: contextvars.ContextVar[str] = contextvars.ContextVar("TOLD", default="fresh")


@BOTH
@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden"])
def test_callback_runs_within_around_in_a_context_of_its_own(
    serve: Serve, views: Views, use: Any, status: str
) -> None:
    steps: list[str] = []
    threads: set[str] = set()

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        steps.append(f"enter {TOLD.get()}")
        TOLD.set("set by around")
        yield
        steps.append("exit")
        views.closed.put(None)

    def gone(begun: object) -> None:
        threads.add(threading.current_thread().name)
        steps.append(f"on_close {TOLD.get()}")

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        called.release()
        use(environ, on_close=gone)
        start_response(status, EVENTS)
        return []

    called = threading.Semaphore(0)
    served = serve(view, threads=1, around=around)
    for _ in range(2):
        client = served.open()
        client.send(get())
        assert called.acquire(timeout=PATIENCE)  # a request of a client that has left is not served
        client.close()
        views.ended()
    assert steps == ["enter fresh", "on_close set by around", "exit"] * 2
    assert threads <= {f"rocket-worker-{number}" for number in range(1, 9)}


def test_around_must_be_callable(serve: Serve) -> None:
    with pytest.raises(TypeError, match="around is not callable"):
        serve(plain, around="module:name")


@BOTH
def test_around_that_fails_is_logged(
    serve: Serve, use: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def around() -> Any:
        raise LookupError("no connection")

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        called.set()
        use(environ, on_close=lambda begun: None)
        start_response("200 OK", EVENTS)
        return []

    called = threading.Event()
    served = serve(view, around=around)
    client = served.open()
    client.send(get())
    wait_for(called)
    client.close()
    eventually(lambda: "LookupError: no connection" in caplog.text)


@BOTH
def test_callback_that_takes_too_long_leaves_its_thread_to_others(
    serve: Serve, use: Any, caplog: pytest.LogCaptureFixture
) -> None:
    entered, go = threading.Event(), threading.Event()

    def slow(begun: object) -> None:
        entered.set()
        wait_for(go)

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/other":
            return plain(environ, start_response)
        use(environ, on_close=slow)
        start_response("200 OK", EVENTS)
        return []

    caplog.set_level(logging.WARNING)
    served = serve(view, threads=1, server={"request_timeout": 0.2})
    client = served.open()
    client.send(get())
    eventually(lambda: served.server.statistics().shared)
    client.close()
    wait_for(entered)
    assert served.get("/other").body == b"plain"
    go.set()


@BOTH
@pytest.mark.parametrize("status", ["403 Forbidden", "raise"])
def test_callback_after_a_refusal_takes_neither_the_client_s_time_nor_a_thread_for_ever(
    serve: Serve, views: Views, use: Any, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()

    def slow(begun: object) -> None:
        views.closed.put(begun)
        wait_for(go)

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/other":
            return plain(environ, start_response)
        use(environ, on_close=slow)
        if status == "raise":
            raise LookupError(status)
        start_response(status, [])
        return [b"no"]

    served = serve(view, threads=1, server={"request_timeout": 0.2})
    client = served.open()
    client.send(get())
    assert client.answer().status == (500 if status == "raise" else 403)
    views.ended()
    client.send(get("/other"))
    assert client.answer().body == b"plain"  # by the thread that takes its place
    eventually(lambda: "on_close of what was refused exceeded request_timeout" in caplog.text)
    go.set()
    assert views.closed.empty()


@pytest.mark.http1
@BOTH
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_refusal_that_the_client_takes_slowly_is_sent_whole(
    serve: Serve, views: Views, use: Any, version: str
) -> None:
    body = bytes(3_000_000)

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        use(environ, on_close=views.closed.put)
        start_response("403 Forbidden", [])
        return [body]

    served = serve(view, narrow=True, threads=1)
    client = served.open(receive_buffer=NARROW)
    client.send(get(version=version))
    eventually(lambda: "shared" in served.server.statistics().connections)
    assert client.answer().body == body
    views.ended()
    eventually(lambda: "shared" not in served.server.statistics().connections)


@pytest.mark.http1
@BOTH
def test_response_that_is_cut_off_undoes_what_was_begun(
    serve: Serve, views: Views, use: Any
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        use(environ, on_close=views.closed.put)
        start_response("403 Forbidden", [])
        yield bytes(100_000)
        raise LookupError("in the midst of it")

    served = serve(view, narrow=True)
    client = served.open(receive_buffer=NARROW)
    client.send(get())
    assert not client.read_all().endswith(b"0\r\n\r\n")
    views.ended()
    eventually(lambda: not served.server.connections)
    assert served.server.statistics().closes["error"] == 1


@BOTH
def test_client_that_leaves_while_the_view_runs_ends_what_was_begun(
    serve: Serve, views: Views, use: Any
) -> None:
    entered, left = threading.Event(), threading.Event()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        use(environ, on_close=views.closed.put)
        entered.set()
        wait_for(left)
        start_response("200 OK", EVENTS)
        return [b": hi\n\n"]

    served = serve(view)
    client = served.open()
    client.send(get())
    wait_for(entered)
    client.reset()
    left.set()
    views.ended()
    eventually(lambda: not served.server.connections)
    assert views.closed.empty()


@BOTH
def test_what_was_begun_may_be_the_key_of_a_weak_collection(
    serve: Serve, views: Views, use: Any
) -> None:
    known: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        begun = use(environ, on_close=lambda begun: views.closed.put(begun in known))
        known[begun] = "ann"
        assert not hasattr(begun, "__dict__")  # which would take more than a weak reference
        start_response("200 OK", EVENTS)
        return []

    served = serve(view)
    client = served.open()
    client.send(get())
    eventually(lambda: parked(served) == 1)
    assert list(known.values()) == ["ann"]
    client.close()
    assert views.ended() is True
    eventually(lambda: (gc.collect(), not len(known))[1])


@BOTH
def test_view_that_takes_too_long_is_answered_and_what_it_has_begun_ends(
    serve: Serve, views: Views, use: Any
) -> None:
    go = threading.Event()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        use(environ, on_close=views.closed.put)
        wait_for(go)
        start_response("200 OK", EVENTS)
        return []

    client = serve(view, server={"request_timeout": 0.2}).open()
    client.send(get())
    assert client.answer().status == 504
    go.set()
    views.ended()


# -- the access log --------------------------------------------------------------------------------

LINE = "{method} {target} {status} {size} {user} {error} {microseconds}"


def lines_of(out: io.StringIO, log: AccessLog) -> list[list[str]]:
    log.flush()
    return [line.split(" ") for line in out.getvalue().splitlines()]


def test_event_stream_is_logged_when_it_ends(serve: Serve, views: Views) -> None:
    out = io.StringIO()
    with AccessLog(out, LINE) as log:

        def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
            environ["REMOTE_USER"] = "ann"
            return list(views.feed(body=[b": welcome\n\n"])(environ, start_response))

        client = serve(view, access_log=log).open()
        client.send(get("/news"))
        client.head()
        stream = views.stream()
        assert client.chunk() == b": welcome\n\n"
        assert lines_of(out, log) == []
        stream.send("x")
        time.sleep(0.3)  # which the view did not take
        stream.close()
        views.ended()
        ((method, target, status, size, user, error, duration),) = lines_of(out, log)
    assert (method, target, status, user, error) == ("GET", "/news", "200", "ann", "-")
    assert int(size) == len(b": welcome\n\ndata: x\n\n")
    assert int(duration) >= 300_000


def test_deferred_answer_is_logged_when_it_ends(serve: Serve, views: Views) -> None:
    out = io.StringIO()
    with AccessLog(out, "json") as log:
        served = serve(views.poll(), access_log=log)
        client = served.open()
        client.send(get("/poll"))
        later = views.later()
        eventually(lambda: served.server.statistics().shared)
        log.flush()
        assert out.getvalue() == ""
        later.answer("201 Created", [], b"hello")
        views.ended()
        log.flush()
        line = json.loads(out.getvalue())
    assert (line["target"], line["status"], line["size"]) == ("/poll", 201, 5)


def test_client_that_leaves_without_an_answer_is_logged(serve: Serve, views: Views) -> None:
    out = io.StringIO()
    with AccessLog(out, "json") as log:
        served = serve(views.poll(), access_log=log)
        client = served.open()
        client.send(get("/poll"))
        eventually(lambda: parked(served))
        client.close()
        views.ended()
        log.flush()
        line = json.loads(out.getvalue())
    assert (line["status"], line["error"]) == (None, "client closed")


@BOTH
def test_refusal_is_logged_once(serve: Serve, views: Views, use: Any) -> None:
    out = io.StringIO()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        use(environ, on_close=views.closed.put)
        start_response("403 Forbidden", [])
        return [b"no"]

    with AccessLog(out, LINE) as log:
        assert serve(view, access_log=log).get("/x").status == 403
        views.ended()
        ((_, _, status, size, *_),) = lines_of(out, log)
    assert (status, size) == ("403", "2")


def test_executor_of_the_server_may_send(serve: Serve, views: Views) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        later = environ["rocket.deferred"].hold()
        environ["wsgiorg.executor"].submit(later.answer, "200 OK", [], b"from the executor")
        start_response("200 OK", [])
        return []

    assert serve(view, executor=Executor(1)).get().body == b"from the executor"

"""``rocket.websocket``: from the opening handshake to the first callback, and what refuses it."""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet, ref
from wsgiref.validate import validator

import pytest

from rocket_core.testing import PATIENCE, Answer, eventually
from rocket_wsgi import AccessLog, Site, WebSocket
from views import pushed
from websocket_peer import Notes, Peer, link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Serve
    from served import Served

Environ = dict[str, Any]
Start = "Callable[..., Callable[[bytes], object]]"

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = ("Host: a", "Upgrade: websocket", "Connection: Upgrade", KEY)


class App:
    """An application that accepts a websocket as it is told."""

    def __init__(self, notes: object, status: str = "200 OK", **options: Any) -> None:
        self.notes = notes
        self.status = status
        self.options = options
        self.fields: list[tuple[str, str]] = []
        self.results: list[object] = []
        self.before: Callable[[Environ], object] = lambda environ: None
        self.after: Callable[[Environ], object] = lambda environ: None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        self.before(environ)
        offer = environ.get("rocket.websocket")
        try:
            self.results.append(offer and offer.accept(self.notes, **self.options))
        except (ValueError, TypeError, RuntimeError) as error:
            self.results.append(error)
        self.after(environ)
        start_response(self.status, self.fields)
        return [b"of the view"]


def ask(served: Served, *fields: str, method: str = "GET", version: str = "1.1") -> Answer:
    """Send a request with exactly these fields; return the answer."""
    client = served.open()
    lines = "".join(f"{field}\r\n" for field in fields)
    client.send(f"{method} / HTTP/{version}\r\n{lines}\r\n".encode())
    return client.answer()


def open_at(served: Served, *fields: str, path: str = "/") -> Peer:
    return Peer(served.address, *fields, path=path, client=served.open())


# -- whether there is an offer ---------------------------------------------------------------------


def test_there_is_an_offer_if_the_request_is_a_valid_handshake(serve: Serve, notes: Notes) -> None:
    app = App(notes)
    seen: list[Any] = []
    app.before = lambda environ: seen.append(environ["rocket.websocket"])
    peer = open_at(
        serve(app), "Sec-WebSocket-Protocol: chat.v1, chat.v2", "Origin: http://a", path="/chat?q"
    )
    assert peer.head.status in (101, 200)
    if peer.head.status == 101:
        assert peer.head.reason == "Switching Protocols"
        assert peer.head["Upgrade"] == "websocket"
        assert peer.head["Connection"] == "Upgrade"
        assert peer.head["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert "Sec-WebSocket-Protocol" not in peer.head
    assert seen[0].subprotocols == ("chat.v1", "chat.v2")
    assert seen[0].origin == "http://a"
    assert app.results == [True]
    ws = notes.opened()
    assert ws.send("hello")
    assert peer.read() == "hello"


@pytest.mark.http1
@pytest.mark.parametrize(
    ("fields", "method", "version"),
    [
        pytest.param(("Host: a",), "GET", "1.1", id="no upgrade"),
        pytest.param(("Host: a", "Upgrade: h2c", "Connection: upgrade"), "GET", "1.1", id="other"),
        pytest.param((*HANDSHAKE, "Sec-WebSocket-Version: 13"), "GET", "1.0", id="HTTP/1.0"),
        pytest.param(
            ("Host: a", "Upgrade: websocket", KEY, "Sec-WebSocket-Version: 13"),
            "GET",
            "1.1",
            id="not in Connection",
        ),
    ],
)
def test_other_requests_have_no_offer(
    serve: Serve, notes: Notes, fields: tuple[str, ...], method: str, version: str
) -> None:
    app = App(notes)
    answer = ask(serve(app), *fields, method=method, version=version)
    assert answer.status == 200
    assert answer.body == b"of the view"
    assert app.results == [None]


@pytest.mark.http1
def test_another_version_is_answered_426(serve: Serve, notes: Notes) -> None:
    app = App(notes)
    answer = ask(serve(app), *HANDSHAKE, "Sec-WebSocket-Version: 8")
    assert answer.status == 426
    assert answer["Sec-WebSocket-Version"] == "13"
    assert answer["Upgrade"] == "websocket"
    assert app.results == []


@pytest.mark.http1
@pytest.mark.parametrize(
    ("fields", "method"),
    [
        pytest.param(HANDSHAKE, "GET", id="no version"),
        pytest.param((*HANDSHAKE[:3], "Sec-WebSocket-Version: 13"), "GET", id="no key"),
        pytest.param(
            (*HANDSHAKE[:3], "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"), "GET", id="key"
        ),
        pytest.param((*HANDSHAKE, "Sec-WebSocket-Version: 13"), "POST", id="method"),
        pytest.param(
            (*HANDSHAKE, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: a b"),
            "GET",
            id="subprotocol",
        ),
    ],
)
def test_broken_handshake_is_answered_400(
    serve: Serve, notes: Notes, fields: tuple[str, ...], method: str
) -> None:
    app = App(notes)
    assert ask(serve(app), *fields, method=method).status == 400
    assert app.results == []


@pytest.mark.http1
def test_handshake_with_a_body_is_answered_400(serve: Serve, notes: Notes) -> None:
    app = App(notes)
    client = serve(app).open()
    lines = "".join(f"{field}\r\n" for field in (*HANDSHAKE, "Sec-WebSocket-Version: 13"))
    client.send(f"GET / HTTP/1.1\r\n{lines}Content-Length: 1\r\n\r\nx".encode())
    assert client.answer().status == 400
    assert app.results == []


def test_handshake_that_no_view_accepts_is_an_ordinary_request(serve: Serve) -> None:
    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        start_response("404 Not Found", [])
        return [b"nothing here"]

    peer = open_at(serve(application))
    assert peer.head.status == 404


def test_offer_works_from_a_copy_of_the_environ(serve: Serve, notes: Notes) -> None:
    app = App(notes)
    served = serve(lambda environ, start_response: app(dict(environ), start_response))
    assert open_at(served).head.status in (101, 200)
    notes.opened()


def test_view_may_be_a_generator(serve: Serve, notes: Notes) -> None:
    steps: list[str] = []

    def application(environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
        environ["rocket.websocket"].accept(notes)
        start_response("200 OK", [])
        yield b"not sent"
        yield b"nor this"
        steps.append("end")

    peer = open_at(serve(application))
    assert peer.head.status in (101, 200)
    assert notes.opened().send("first")
    assert steps == ["end"]
    assert peer.read() == "first"


# -- the response ----------------------------------------------------------------------------------


def test_101_carries_the_fields_of_the_view_but_for_some(serve: Serve, notes: Notes) -> None:
    app = App(notes)
    app.fields = [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("X-Own", "yes"),
        ("Content-Type", "text/html"),
        ("Content-Length", "11"),
        ("Content-Encoding", "identity"),
        ("Sec-WebSocket-Extensions", "own"),
        ("sec-websocket-anything", "own"),
    ]
    peer = open_at(serve(app))
    names = [name for name, _ in peer.head.fields]
    ours = ["connection", "sec-websocket-accept", "upgrade"]
    if peer.head.status == 200:
        ours = ["date", "server"]
    assert sorted(names) == sorted(["content-type", "set-cookie", "set-cookie", "x-own", *ours])
    notes.opened().send("no body before this")
    assert peer.read() == "no body before this"


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "299 Nearly"])
def test_view_that_answers_below_300_lets_the_client_in(
    serve: Serve, notes: Notes, status: str
) -> None:
    peer = open_at(serve(App(notes, status)))
    assert (peer.head.status, peer.head.reason) in ((101, "Switching Protocols"), (200, ""))
    assert notes.opened().send("hello")
    assert peer.read() == "hello"


@pytest.mark.parametrize("status", ["300 Multiple Choices", "302 Found", "403 Forbidden"])
def test_view_that_answers_300_or_more_refuses(serve: Serve, notes: Notes, status: str) -> None:
    served = serve(App(notes, status))
    client = served.open()
    for _ in range(2):  # the connection goes on
        client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        answer = client.answer()
        assert answer.status == int(status[:3])
        assert answer.body == b"of the view"
        assert notes.next() == ("close", 1006, "")
    assert notes.rest() == []


def test_refused_websocket_is_closed_and_takes_nothing(serve: Serve) -> None:
    seen: list[Any] = []

    class Handler:
        def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
            ws.close()
            seen.extend([ws.closed, ws.pending, ws.send("a"), ws.environ["PATH_INFO"]])

    open_at(serve(App(Handler(), "404 Not Found")), path="/there")
    eventually(lambda: seen)
    assert seen == [True, 0, False, "/there"]


def test_handler_without_on_close_is_told_nothing_of_a_refusal(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(App(object(), "403 Forbidden"))
    assert open_at(served).head.status == 403
    served.stop()
    assert caplog.messages == []


def test_view_that_fails_is_answered_500_and_the_websocket_undone(
    serve: Serve, notes: Notes
) -> None:
    def fail(environ: Environ) -> None:
        raise LookupError("of the view")

    app = App(notes)
    app.after = fail
    assert open_at(serve(app)).head.status == 500
    assert notes.next() == ("close", 1006, "")


def test_view_that_takes_too_long_is_answered_504_and_the_websocket_undone(
    serve: Serve, notes: Notes
) -> None:
    app = App(notes)
    go_on = threading.Event()
    app.after = lambda environ: go_on.wait(PATIENCE)
    served = serve(app, server={"request_timeout": 0.3})
    assert open_at(served).head.status == 504
    assert notes.rest() == []
    go_on.set()
    assert notes.next() == ("close", 1006, "")


def test_views_response_is_closed_before_the_first_callback(serve: Serve) -> None:
    """Nothing goes on before."""
    order: list[str] = []
    shared: list[object] = []

    class Response:
        def __iter__(self) -> Iterator[bytes]:
            order.append("asked")
            return iter([b""])

        def close(self) -> None:
            shared.extend(pushed(served.server.statistics().shared))
            order.append("closed")

    class Handler:
        def on_open(self, ws: WebSocket) -> None:
            order.append("open")

    def application(environ: Environ, start_response: Callable[..., Any]) -> Any:
        environ["rocket.websocket"].accept(Handler())
        start_response("200 OK", [])
        return Response()

    served = serve(application)
    open_at(served)
    eventually(lambda: len(order) == 3)
    assert order == ["asked", "closed", "open"]
    assert shared == []


# -- origins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "origin", "origins", "admitted"),
    [
        ("a.example", "http://a.example", None, True),
        ("a.example:80", "http://a.example", None, True),
        ("a.example", "https://a.example", None, True),  # TLS may end in front of the server
        ("a.example:8000", "http://a.example:8000", None, True),
        ("a.example", "http://b.example", None, False),
        ("a.example", "http://a.example:8000", None, False),
        ("a.example", "null", None, False),
        ("a.example", None, None, True),
        ("a.example", "http://b.example", "*", True),
        ("a.example", "http://b.example", {"http://b.example"}, True),
        ("a.example", "http://a.example", {"http://b.example"}, False),
        ("a.example", None, {"http://b.example"}, True),
    ],
)
def test_origins(
    serve: Serve, notes: Notes, host: str, origin: str | None, origins: Any, *, admitted: bool
) -> None:
    app = App(notes, origins=origins)
    fields = [f"Host: {host}", *HANDSHAKE[1:], "Sec-WebSocket-Version: 13"]
    if origin is not None:
        fields.append(f"Origin: {origin}")
    served = serve(app)
    client = served.open()
    client.send(("GET / HTTP/1.1\r\n" + "".join(f"{f}\r\n" for f in fields) + "\r\n").encode())
    head = client.head()
    assert head.status in ((101, 200) if admitted else (403,))
    assert app.results == [admitted]
    if admitted:
        notes.opened()
    else:
        served.stop()
        assert notes.rest() == []


def test_refused_origin_is_logged_with_both_values(
    serve: Serve, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "rocket_wsgi")  # one a minute is logged at WARNING
    app = App(notes, "302 Found")
    peer = open_at(serve(app), "Origin: http://b")
    assert peer.head.status == 403
    (text,) = [text for text in caplog.messages if "may not open a websocket" in text]
    assert "origin 'http://b'" in text
    assert "host 'a'" in text


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"subprotocol": "c"}, "ValueError(\"the client did not ask for subprotocol 'c'"),
        ({"origins": "http://a"}, "ValueError(\"origins is 'http://a'"),
        ({"origins": ["a"]}, "ValueError(\"'a' is not an origin"),
        ({"slow": "wait"}, "ValueError(\"slow is 'wait': give 'close' or 'drop'"),
        ({"ping": 0}, "ValueError('ping is 0"),  # compiled code makes it 0.0
        ({"max_message": 0}, "ValueError('max_message is 0: "),
        ({"read_ahead": 0}, "ValueError('read_ahead is 0: "),
        ({"read_ahead": 1.5}, "TypeError("),  # compiled code has a message of its own
    ],
)
def test_arguments_that_are_an_error(
    serve: Serve, notes: Notes, options: dict[str, Any], error: str
) -> None:
    app = App(notes, **options)
    assert open_at(serve(app), "Sec-WebSocket-Protocol: a, b").head.status in (200, 501)
    assert repr(app.results[0]).startswith(error)


def test_subprotocol(serve: Serve, notes: Notes) -> None:
    served = serve(App(notes, subprotocol="b"))
    peer = open_at(served, "Sec-WebSocket-Protocol: a, b")
    assert peer.head["Sec-WebSocket-Protocol"] == "b"
    assert notes.opened().subprotocol == "b"


def test_no_compression_if_the_application_wants_none(serve: Serve, notes: Notes) -> None:
    peer = open_at(
        serve(App(notes, compress=False)), "Sec-WebSocket-Extensions: permessage-deflate"
    )
    assert "Sec-WebSocket-Extensions" not in peer.head
    notes.opened().send("x" * 1000)
    assert peer.read() == "x" * 1000


def test_defaults(serve: Serve, notes: Notes) -> None:
    open_at(serve(App(notes)))
    session = link(notes.opened())._session
    assert session._ping == 25.0
    assert session._read_ahead == 16
    assert session._max_held == 1 << 20
    assert not session._drop


def test_offer_is_used_once_and_in_the_view(serve: Serve, notes: Notes) -> None:
    offers: list[Any] = []

    def again(environ: Environ) -> None:
        with pytest.raises(RuntimeError, match="only one offer"):
            environ["rocket.websocket"].accept(notes)

    app = App(notes)
    app.before = lambda environ: offers.append(environ["rocket.websocket"])
    app.after = again
    open_at(serve(app))
    notes.opened()
    with pytest.raises(RuntimeError, match="after the view had returned"):
        offers[0].accept(notes)
    assert app.results == [True]


@pytest.mark.parametrize("first", ["rocket.events", "rocket.deferred", "rocket.websocket"])
def test_offer_excludes_the_others(serve: Serve, notes: Notes, first: str) -> None:
    tried: list[str] = []

    def use(environ: Environ, name: str) -> None:
        offer = environ[name]
        if name == "rocket.websocket":
            offer.accept(notes)
        elif name == "rocket.events":
            offer.open()
        else:
            offer.hold()

    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        use(environ, first)
        for name in ("rocket.events", "rocket.deferred", "rocket.websocket"):
            with pytest.raises(RuntimeError, match="only one offer"):
                use(environ.copy(), name)
            tried.append(name)
        start_response("403 Forbidden", [])
        return []

    assert open_at(serve(application)).head.status == 403
    assert len(tried) == 3


# -- afterwards ------------------------------------------------------------------------------------


def test_environ_has_the_strings_as_they_were_when_the_view_had_returned(
    serve: Serve, notes: Notes
) -> None:
    app = App(notes)

    def change(environ: Environ) -> None:
        environ["REMOTE_USER"] = "ann"
        environ["my.object"] = object()

    app.after = change
    open_at(serve(app), "X-Own: yes", path="/chat?room=1")
    ws = notes.opened()
    environ = ws.environ
    assert environ["REMOTE_USER"] == "ann"
    assert environ["PATH_INFO"] == "/chat"
    assert environ["QUERY_STRING"] == "room=1"
    assert environ["HTTP_X_OWN"] == "yes"
    assert environ["HTTP_UPGRADE"] == "websocket"
    assert all(isinstance(value, str) for value in environ.values())
    environ["changed"] = "here"
    assert "changed" not in ws.environ


def test_parked_websocket_keeps_nothing_of_the_framework(serve: Serve, notes: Notes) -> None:
    class Request:
        pass

    kept: list[ref[Request]] = []

    def note(environ: Environ) -> None:
        request = environ["framework.request"] = Request()
        kept.append(ref(request))

    app = App(notes)
    app.before = note
    peer = open_at(serve(app))
    ws = notes.opened()
    eventually(lambda: (gc.collect(), kept[0]() is None)[1])
    assert ws.send("still here")
    assert peer.read() == "still here"


def test_callbacks_run_around_and_each_in_a_fresh_context(serve: Serve) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="fresh")
    seen: list[str] = []
    inside = threading.local()

    @contextmanager
    def around() -> Iterator[None]:
        inside.here = True
        yield
        inside.here = False

    class Handler:
        def on_open(self, ws: WebSocket) -> None:
            self.note()

        def on_message(self, ws: WebSocket, data: str) -> None:
            self.note()

        def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
            self.note()

        def note(self) -> None:
            seen.append(f"{variable.get()} {inside.here} {threading.current_thread().name}")
            variable.set("used")

    peer = open_at(serve(App(Handler()), around=around, threads=1))
    peer.send("a")
    peer.close()
    eventually(lambda: len(seen) == 3)
    assert seen == ["fresh True rocket-worker-1"] * 3


def test_defaults_of_the_site_hold_unless_the_application_says_otherwise(serve: Serve) -> None:
    settings = {"websocket_max_message": 10, "websocket_ping": None}
    for options, size, ping in (
        ({}, 10, None),
        ({"max_message": 20}, 20, None),
        ({"ping": 7.0}, 10, 7.0),
    ):
        notes = Notes()
        peer = open_at(serve(App(notes, **options), **settings))
        session = link(notes.opened())._session
        assert session._ping == ping
        peer.send("x" * size)
        assert notes.next() == ("message", "x" * size)
        peer.send("x" * (size + 1))
        assert peer.read_close() == 1009


def test_defaults_of_the_defaults(serve: Serve, notes: Notes) -> None:
    open_at(serve(App(notes)))
    session = link(notes.opened())._session
    assert (session._ping, session._max_held) == (25.0, 1 << 20)
    open_at(serve(App(notes, ping=None), websocket_ping=5.0))
    assert link(notes.opened())._session._ping is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"websocket_max_message": 0}, ValueError, "websocket_max_message is 0: give a number"),
        ({"websocket_max_message": 1.5}, TypeError, "int"),
        ({"websocket_ping": 0}, ValueError, r"websocket_ping is 0(\.0)?: give a number of seconds"),
    ],
)
def test_invalid_defaults(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Site(App(Notes()), **settings)


def test_access_log_has_a_line_when_the_websocket_ends(
    serve: Serve, notes: Notes, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path), "{method} {target} {status} {size}")
    served = serve(App(notes), access_log=log)
    peer = open_at(served, path="/chat")
    ws = notes.opened()
    ws.send("12345678")
    assert peer.read() == "12345678"
    assert path.read_text() == ""
    peer.close()
    assert notes.next()[0] == "close"
    served.stop()
    log.close()
    assert path.read_text() == f"GET /chat {peer.head.status} 10\n"


def test_pushes_of_all_use_at_most_half_of_max_output(serve: Serve) -> None:
    notes = Notes()
    served = serve(App(notes, slow="drop"), narrow=True, server={"max_output": 200_000})
    sockets = []
    for _ in range(2):
        Peer(served.address, client=served.open(16 * 1024))
        sockets.append(notes.opened())
    first, second = sockets
    while first.pending < 60_000:
        first.send(bytes(10_000))
    while not first.closed:
        assert second.send(bytes(10_000))
    assert not second.closed
    assert notes.next() == ("close", 1006, "")


def test_messages_do_not_count_toward_the_queue_of_requests(serve: Serve, notes: Notes) -> None:
    app = App(notes)
    served = serve(app, threads=1, server={"max_queue": 1})
    peers = [open_at(served) for _ in range(8)]
    for _ in peers:
        notes.opened()
    peers[0].send("hold")
    notes.wait_held()
    for peer in peers[1:]:
        peer.send("waits")
    eventually(lambda: all(link(ws)._session.due for ws in notes.sockets[1:]))
    client = served.open()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: served.server.statistics().ready == len(peers))
    notes.go_on.release()
    assert client.answer().status == 200
    assert served.server.statistics().requests == len(peers) + 1


@pytest.mark.filterwarnings("default")
def test_a_strict_checker_of_wsgi_has_nothing_to_say(serve: Serve, notes: Notes) -> None:
    """Its environ must be a plain dict, and it wraps all that passes through it."""
    app = App(notes)
    app.fields = [("Content-Type", "text/plain")]
    peer = open_at(serve(validator(app)))
    assert peer.head.status in (101, 200)
    assert notes.opened().send("hello")
    assert peer.read() == "hello"


def test_client_that_leaves_before_the_handshake_is_complete_is_told_as_one_that_leaves(
    serve: Serve, notes: Notes
) -> None:
    entered, left = threading.Event(), threading.Event()
    app = App(notes)

    def wait(environ: Environ) -> None:
        entered.set()
        assert left.wait(PATIENCE)

    app.after = wait
    served = serve(app)
    client = served.open()
    lines = "\r\n".join((*HANDSHAKE, "Sec-WebSocket-Version: 13"))
    client.send(f"GET / HTTP/1.1\r\n{lines}\r\n\r\n".encode())
    assert entered.wait(PATIENCE)
    client.reset()
    left.set()
    calls = [notes.next()]
    if calls == [("open",)]:  # the handler is told that it is over, whether or not it had begun
        calls.append(notes.next())
    assert calls[-1] == ("close", 1006, "")
    eventually(lambda: not served.server.connections)
    assert notes.rest() == []


def test_websocket_may_be_the_key_of_a_weak_collection(serve: Serve, notes: Notes) -> None:
    peer = open_at(serve(App(notes)))
    ws = notes.opened()
    users = WeakKeyDictionary({ws: "ann"})
    everybody = WeakSet([ws])
    assert not hasattr(ws, "__dict__")  # which would take more than a weak reference
    peer.close()
    assert notes.next() == ("close", 1000, "")
    del ws
    notes.sockets.clear()
    eventually(lambda: (gc.collect(), not len(users) and not len(everybody))[1])

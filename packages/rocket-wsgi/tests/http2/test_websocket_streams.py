"""Websockets on streams (RFC 8441): what HTTP/1.1 has no like of.

What both have in common is tested in `push`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client, StreamAnswer
from rocket_core import Timeouts
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import StaticFiles
from rocket_wsgi._http2.tunnel import NeedsHTTP1
from views import parked, plain, pushed, wait_for
from websocket_peer import BINARY, CLOSE, DEFLATE, FIN, RSV1, TEXT, Notes, inflated, masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from wsgiref.types import StartResponse

    from conftest import Serve

Connect = Callable[..., HTTP2Client]

NO_ERROR, PROTOCOL_ERROR, CANCEL = 0, 1, 8
VERSION = ("sec-websocket-version", "13")
WINDOW = 256 * 1024


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, which are closed with the test."""
    with ExitStack() as stack:
        yield lambda served, **options: stack.enter_context(HTTP2Client(served.address, **options))


class Chat:
    """Accepts all websockets below ``/``, and answers all other requests.

    Attributes:
        environs: those of the handshakes.
        before: is called before a websocket is accepted.
    """

    def __init__(self, handler: object, **terms: Any) -> None:
        self.environs: list[dict[str, Any]] = []
        self.before: Callable[[], object] = lambda: None
        self._handler = handler
        self._terms = terms

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/":
            return plain(environ, start_response)
        self.environs.append(environ.copy())
        self.before()
        environ["rocket.websocket"].accept(self._handler, **self._terms)
        start_response("200 OK", [])
        return []


def ask(
    client: HTTP2Client,
    *fields: tuple[str, str],
    path: str = "/",
    protocol: str = "websocket",
    end: bool = False,
) -> int:
    """Send an extended CONNECT; return the number of its stream."""
    client.until(lambda: client.h2.remote_settings.enable_connect_protocol)
    return client.begin(path, "CONNECT", fields, end=end, protocol=protocol)


def opened(client: HTTP2Client, *fields: tuple[str, str]) -> int:
    """Open a websocket."""
    number = ask(client, VERSION, *fields)
    answer = client.answers[number]
    client.until(lambda: answer.status or answer.reset is not None)
    assert answer.status == 200
    return number


def send(client: HTTP2Client, number: int, data: str | bytes) -> None:
    """Send a message."""
    first, payload = (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)
    client.send(number, masked(FIN | first, payload), end=False)


def frames(answer: StreamAnswer) -> list[tuple[int, bytes]]:
    """The whole frames that have come."""
    found = []
    data = answer.body
    while len(data) >= 2:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + size:
            break
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def until_frames(client: HTTP2Client, number: int, count: int) -> list[tuple[int, bytes]]:
    answer = client.answers[number]
    client.until(lambda: len(frames(answer)) >= count)
    return frames(answer)


def close_frame(code: int) -> tuple[int, bytes]:
    return FIN | CLOSE, code.to_bytes(2, "big")


# -- the handshake ---------------------------------------------------------------------------------


def test_environ_looks_as_over_http1(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    chat = Chat(notes)
    client = connect(serve(chat, h2c=True))
    number = opened(
        client, ("sec-websocket-protocol", "a, b"), ("origin", "http://a"), ("cookie", "c=d")
    )
    assert "upgrade" not in dict(client.answers[number].fields)
    ws = notes.opened()
    environ = chat.environs[0]
    expected = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_PROTOCOL": "HTTP/2",
        "HTTP_HOST": "a",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_COOKIE": "c=d",
        "wsgi.url_scheme": "http",
    }
    assert {key: environ[key] for key in expected} == expected
    assert environ["rocket.websocket"].subprotocols == ("a", "b")
    assert environ["rocket.websocket"].origin == "http://a"
    assert environ["wsgi.input"].read() == b""
    assert "rocket.socket" not in environ
    with pytest.raises(NeedsHTTP1):
        environ["werkzeug.socket"].send(b"x")
    assert ws.environ["REQUEST_METHOD"] == "GET"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((), 400),
        ((("sec-websocket-version", "x"),), 400),
        ((("sec-websocket-version", "8"),), 426),
        ((VERSION, ("sec-websocket-protocol", "a b")), 400),
        ((VERSION, ("sec-websocket-extensions", ";")), 400),
        ((VERSION, ("origin", "http://evil")), 403),
    ],
)
def test_handshake_that_is_not_valid(
    serve: Serve, connect: Connect, fields: tuple[tuple[str, str], ...], status: int
) -> None:
    client = connect(serve(Chat(Notes()), h2c=True))
    answer = client.answer(ask(client, *fields))
    assert answer.status == status
    if status == 426:
        assert answer["sec-websocket-version"] == "13"
    assert client.get("/other").text == "plain"


def test_other_protocols_are_unknown(serve: Serve, connect: Connect) -> None:
    client = connect(serve(plain, h2c=True))
    assert client.answer(ask(client, VERSION, protocol="connect-udp")).status == 501
    assert client.get("/other").text == "plain"


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "299 Nearly"])
@pytest.mark.parametrize("parts", [0, 1, 2])
def test_view_that_knows_of_no_websocket_opens_none(
    serve: Serve, connect: Connect, status: str, parts: int
) -> None:
    """A status of the 2xx kind would complete the handshake."""

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [])
        return [b"hello"] * parts

    client = connect(serve(view, h2c=True))
    assert client.answer(ask(client, VERSION)).status == 501


@pytest.mark.parametrize("offer", ["events", "deferred"])
def test_other_offers_are_none_for_a_websocket(serve: Serve, connect: Connect, offer: str) -> None:
    closed = threading.Event()

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def gone(_: object) -> None:
            closed.set()

        if offer == "events":
            environ["rocket.events"].open(on_close=gone)
        else:
            environ["rocket.deferred"].hold(on_close=gone)
        start_response("200 OK", [])
        return []

    client = connect(serve(view, h2c=True))
    assert client.answer(ask(client, VERSION)).status == 501
    wait_for(closed)


@pytest.mark.parametrize("status", [302, 401, 404, 503])
def test_view_that_refuses_answers_as_it_likes(serve: Serve, connect: Connect, status: int) -> None:
    notes = Notes()

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.websocket"].accept(notes)
        start_response(f"{status} Reason", [("X-Why", "yes")])
        return [b"no"]

    client = connect(serve(view, h2c=True))
    answer = client.answer(ask(client, VERSION))
    assert (answer.status, answer["x-why"], answer.text) == (status, "yes", "no")
    assert notes.next() == ("close", 1006, "")


def test_what_the_server_answers_itself_opens_no_websocket(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    client = connect(
        serve(plain, h2c=True, health="/health", static={"/static": StaticFiles(tmp_path)})
    )
    assert client.answer(ask(client, VERSION, path="/health")).status == 501
    assert client.answer(ask(client, VERSION, path="/static/file")).status == 501
    assert client.answer(ask(client, VERSION, path="/static/none")).status == 404


# -- messages --------------------------------------------------------------------------------------


def test_messages_both_ways_in_frames_cut_anywhere(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    notes.act = lambda ws, data: ws.send(data)
    client = connect(serve(Chat(notes), h2c=True))
    number = opened(client)
    notes.opened()
    wire = masked(FIN | TEXT, "hellö".encode()) + masked(FIN | BINARY, bytes(70_000))
    for start in range(40):
        client.send(number, wire[start : start + 1], end=False)
    client.send(number, wire[40:], end=False)
    assert until_frames(client, number, 2) == [
        (FIN | TEXT, "hellö".encode()),
        (FIN | BINARY, bytes(70_000)),
    ]


def test_message_that_comes_before_the_view_has_accepted(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    chat = Chat(notes)
    entered, go = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        wait_for(go)

    chat.before = wait
    client = connect(serve(chat, h2c=True))
    number = ask(client, VERSION)
    wait_for(entered)
    send(client, number, "early")
    assert client.get("/other").text == "plain"  # so it has arrived
    go.set()
    notes.opened()
    assert notes.next() == ("message", "early")


def test_compressed_messages(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True))
    name, _, value = DEFLATE.partition(": ")
    number = opened(client, (name.lower(), value))
    assert "permessage-deflate" in client.answers[number]["sec-websocket-extensions"]
    notes.opened().send("x" * 1000)
    first, payload = until_frames(client, number, 1)[0]
    assert first == FIN | RSV1 | TEXT
    assert inflated(payload) == b"x" * 1000


def test_ninety_websockets_of_one_connection_hold_no_thread(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    notes.act = lambda ws, data: ws.send(data)
    served = serve(Chat(notes), h2c=True, threads=1)
    client = connect(served)
    numbers = [opened(client) for _ in range(90)]
    assert client.get("/other").text == "plain"
    eventually(lambda: parked(served) == 90)
    assert served.server.connections == 1
    for number in numbers:
        send(client, number, str(number))
    for number in numbers:
        assert until_frames(client, number, 1) == [(FIN | TEXT, str(number).encode())]


def test_busy_handler_has_that_client_wait_and_no_other(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    served = serve(Chat(notes, read_ahead=2), h2c=True)
    client = connect(served)
    number = opened(client)
    notes.opened()
    send(client, number, "hold")
    notes.wait_held()
    sent = 0
    while client.h2.local_flow_control_window(number) > 20_000:
        send(client, number, bytes(10_000))
        sent += 1
        if sent % 5 == 0:
            assert client.get("/other").text == "plain"  # with the credit that was given
    assert sent < 40
    other = opened(client)
    send(client, other, "quick")
    assert notes.next() == ("message", "hold")
    assert notes.next() == ("open",)
    assert notes.next() == ("message", "quick")
    notes.go_on.release()
    assert [notes.next() for _ in range(sent)] == [("message", bytes(10_000))] * sent
    client.until(lambda: client.h2.local_flow_control_window(number) > WINDOW // 2)


# -- ends ------------------------------------------------------------------------------------------


def test_close_of_the_client_ends_the_stream_properly(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    served = serve(Chat(notes), h2c=True)
    client = connect(served)
    number = opened(client)
    notes.opened()
    client.send(number, masked(*close_frame(4000)), end=True)
    answer = client.answer(number)
    assert (frames(answer), answer.ended, answer.reset) == ([close_frame(4000)], True, None)
    assert notes.next() == ("close", 4000, "")
    assert client.get("/other").text == "plain"
    assert answer.reset is None
    assert pushed(served.server.statistics().outcomes) == {"websocket": {"4000": 1}}


def test_close_of_the_server_waits_for_that_of_the_client(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True))
    number = opened(client)
    notes.opened().close(4001)
    assert until_frames(client, number, 1) == [close_frame(4001)]
    answer = client.answers[number]
    assert not answer.ended
    client.send(number, masked(*close_frame(4001)), end=False)
    client.until(lambda: answer.ended)
    assert notes.next() == ("close", 4001, "")
    client.send(number, b"")
    assert client.get("/other").text == "plain"
    assert answer.reset is None


def test_client_that_does_not_end_its_side_is_told_to(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    served = serve(Chat(notes), h2c=True, timeouts=Timeouts(linger=0.1))
    client = connect(served)
    number = opened(client)
    notes.opened()
    client.send(number, masked(*close_frame(1000)), end=False)
    answer = client.answers[number]
    client.until(lambda: answer.reset is not None)
    assert (answer.ended, answer.reset) == (True, NO_ERROR)
    assert notes.next() == ("close", 1000, "")


def test_end_of_the_stream_without_a_close_frame(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True))
    number = opened(client)
    notes.opened()
    client.send(number, masked(FIN | TEXT, b"last"), end=True)
    assert notes.next() == ("message", "last")
    assert notes.next() == ("close", 1006, "")
    assert client.answer(number).ended


def test_request_that_ends_its_stream_at_once(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True))
    assert client.answer(ask(client, VERSION, end=True)).status == 200
    notes.opened()
    assert notes.next() == ("close", 1006, "")


def test_reset_is_the_end_of_the_client(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True))
    first = opened(client)
    ws = notes.opened()
    second = opened(client)
    other = notes.opened()
    client.reset(first)
    assert notes.next() == ("close", 1006, "")
    assert ws.closed
    assert not ws.send("late")
    assert other.send("on")
    assert until_frames(client, second, 1) == [(FIN | TEXT, b"on")]


def test_reset_while_the_handler_runs(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True))
    number = opened(client)
    ws = notes.opened()
    send(client, number, "hold")
    notes.wait_held()
    client.reset(number)
    eventually(lambda: ws.closed)
    notes.go_on.release()
    assert notes.next() == ("message", "hold")
    assert notes.next() == ("close", 1006, "")


def test_error_of_the_client_ends_that_websocket_alone(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True))
    number = opened(client)
    notes.opened()
    client.send(number, b"\x81\x01x", end=False)  # which is not masked
    answer = client.answers[number]
    client.until(lambda: answer.ended)
    assert frames(answer)[0][1][:2] == (1002).to_bytes(2, "big")
    assert notes.next()[:2] == ("close", 1002)
    assert client.get("/other").text == "plain"


def test_trailers_are_none_for_a_websocket(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True))
    number = opened(client)
    notes.opened()
    client.h2.send_headers(number, [("x-end", "yes")], end_stream=True)
    client.flush()
    answer = client.answer(number)
    assert answer.reset == PROTOCOL_ERROR
    assert notes.next() == ("close", 1006, "")


def test_client_that_gives_no_window_is_closed_at_a_messages_end(
    serve: Serve, connect: Connect
) -> None:
    notes = Notes()
    client = connect(serve(Chat(notes), h2c=True), window=50_000, gives_credit=False)
    number = opened(client)
    ws = notes.opened()
    sent = 0
    while ws.send(bytes(20_000)):
        sent += 1
    assert sent * 20_000 > WINDOW
    assert ws.closed
    answer = client.answers[number]
    client.until(lambda: len(answer.body) == 50_000)
    client.gives_credit = True
    client.credit(number, 50_000)
    found = until_frames(client, number, 4)
    assert found[:3] == [(FIN | BINARY, bytes(20_000))] * 3
    assert found[3] == (FIN | CLOSE, (1013).to_bytes(2, "big") + b"the client is too slow")
    assert len(found) == 4
    client.send(number, masked(*close_frame(1013)), end=True)
    client.until(lambda: answer.ended)
    assert notes.next() == ("close", 1013, "the client is too slow")


def test_messages_are_dropped_if_so_agreed(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    served = serve(Chat(notes, slow="drop", ping=None), h2c=True)
    client = connect(served, window=50_000, gives_credit=False)
    number = opened(client)
    ws = notes.opened()
    sent = 0
    while ws.send(bytes(20_000)):
        sent += 1
    assert ws.pending >= WINDOW
    assert not ws.closed
    answer = client.answers[number]
    client.until(lambda: len(answer.body) == 50_000)
    client.gives_credit = True
    client.credit(number, 1_000_000)
    found = until_frames(client, number, sent)
    assert len(found) == sent
    assert set(found) == {(FIN | BINARY, bytes(20_000))}
    assert notes.next() == ("drained",)
    assert ws.pending == 0
    eventually(lambda: served.server.statistics().held == 0)


def test_drain_closes_websockets_and_then_the_connection(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    served = serve(Chat(notes), h2c=True)
    client = connect(served)
    numbers = [opened(client), opened(client)]
    for _ in numbers:
        notes.opened()
    served.server.drain(PATIENCE)
    for number in numbers:
        assert until_frames(client, number, 1) == [close_frame(1001)]
        client.send(number, masked(*close_frame(1001)), end=True)
    client.until(lambda: client.closed)
    assert client.goaways[-1] == (numbers[-1], NO_ERROR)
    assert served.server.wait(PATIENCE)
    calls = [notes.next() for _ in range(4)]
    assert calls.count(("shutdown",)) == 2
    assert calls.count(("close", 1001, "")) == 2


def test_stop_tells_all_handlers(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    served = serve(Chat(notes), h2c=True)
    client = connect(served)
    for _ in range(5):
        opened(client)
        notes.opened()
    served.stop()
    assert [notes.next() for _ in range(5)] == [("close", 1006, "")] * 5


def test_late_callback_ends_its_websocket_alone(serve: Serve, connect: Connect) -> None:
    notes = Notes()
    served = serve(Chat(notes), h2c=True, threads=1, server={"request_timeout": 0.1})
    client = connect(served)
    first = opened(client)
    notes.opened()
    second = opened(client)
    other = notes.opened()
    send(client, first, "hold")
    answer = client.answers[first]
    client.until(lambda: answer.ended)
    assert frames(answer) == [close_frame(1011)]
    assert other.send("on")
    assert until_frames(client, second, 1) == [(FIN | TEXT, b"on")]
    notes.go_on.release()
    assert notes.next() == ("message", "hold")
    assert notes.next() == ("close", 1011, "")

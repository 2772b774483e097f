"""Each websocket, event stream and deferred answer ends once in the log and in the statistics."""

from __future__ import annotations

import io
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import MessageCounts
from rocket_core.testing import NARROW, PATIENCE, descriptors, eventually
from rocket_wsgi import AccessLog, WebSocket
from stream_client import ServedStreams
from views import Views, get, pushed, wait_for
from websocket_peer import Notes, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse

    from conftest import Serve
    from rocket_core import Server
    from rocket_core.testing import Client
    from served import Served

WEBSOCKET, STREAM, ANSWER = KINDS = ("websocket", "event stream", "deferred answer")
EACH = pytest.mark.parametrize("kind", KINDS)

HANDSHAKE = get(
    "/",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


class Site:
    """A server of one kind, with an access log.

    Attributes:
        notes: the handler of its websockets.
        views: what its other views have begun.
        kept: the options of the offer.
        before: is called before the offer is used, and ``after`` afterwards.
        status: the status of the view's response.
    """

    def __init__(self, serve: Serve, kind: str, **options: Any) -> None:
        self._out = io.StringIO()
        self.log = AccessLog(self._out, "json")
        self.kind = kind
        self.notes = Notes()
        self.views = Views()
        self.kept: dict[str, Any] = {}
        self.before: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None
        self.status = "200 OK"
        self.served: Served = serve(self._view, access_log=self.log, **options)

    def _view(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self.before()
        if self.kind == WEBSOCKET:
            environ["rocket.websocket"].accept(self.notes, **self.kept)
        elif self.kind == STREAM:
            options = {"retry": None, "on_close": self.views.closed.put, **self.kept}
            self.views.streams.put(environ["rocket.events"].open(**options))
        else:
            options = {"on_close": self.views.closed.put, **self.kept}
            self.views.answers.put(environ["rocket.deferred"].hold(**options))
        self.after()
        start_response(self.status, [])
        return []

    def ask(self, receive_buffer: int | None = None) -> Client:
        """Ask for one, and do not read the response."""
        client = self.served.open(receive_buffer)
        client.send(HANDSHAKE if self.kind == WEBSOCKET else get())
        return client

    def open(self) -> Client:
        """Have one parked."""
        client = self.ask()
        if self.kind != ANSWER:
            assert client.head().status in (101, 200)
        if self.kind == WEBSOCKET:
            self.notes.opened()
        eventually(lambda: self.parked == 1)
        return client

    def peer(self, receive_buffer: int | None = None) -> Peer:
        """Open a websocket whose client speaks."""
        return Peer(self.served.address, client=self.served.open(receive_buffer))

    @property
    def server(self) -> Server:
        return self.served.server

    @property
    def opened(self) -> int:
        """The status that opens a websocket."""
        return 200 if isinstance(self.served, ServedStreams) else 101

    @property
    def parked(self) -> int:
        counts = self.server.statistics().shared.get(self.kind)
        return 0 if counts is None else counts.parked

    def wait_parked(self, count: int) -> None:
        eventually(lambda: self.parked == count)

    def told(self) -> tuple[Any, ...]:
        """Wait until the application has been told of the end; return what it was told."""
        if self.kind != WEBSOCKET:
            return (self.views.ended(),)
        while (call := self.notes.next())[0] != "close":
            pass
        return call

    def line(self) -> dict[str, Any]:
        """Return the only line of the access log, once the server has stopped."""
        self.served.stop()
        self.log.flush()
        (line,) = self._out.getvalue().splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    def outcomes(self) -> dict[str, int]:
        """Return how many have ended, by outcome, once the server has stopped."""
        outcomes = pushed(self.server.statistics().outcomes)
        assert outcomes.keys() <= {self.kind}
        return outcomes.get(self.kind, {})


@pytest.fixture
def site(serve: Serve) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(kind: str, **options: Any) -> Site:
        sites.append(Site(serve, kind, **options))
        return sites[-1]

    yield make
    for each in sites:
        each.log.close()


def test_websocket_with_its_messages(site: Callable[..., Site]) -> None:
    chat = site(WEBSOCKET)
    peer = chat.peer()
    ws = chat.notes.opened()
    for data in ("one", b"two", "three"):
        peer.send(data)
        assert chat.notes.next() == ("message", data)
    ws.send("12345678")
    ws.send(b"")
    assert peer.read() == "12345678"
    assert peer.read() == b""
    expected = {WEBSOCKET: MessageCounts(received=3, sent=2, dropped=0)}
    assert pushed(chat.server.statistics().messages) == expected
    peer.close(4321)
    assert chat.told() == ("close", 4321, "")
    line = chat.line()
    assert (line["status"], line["size"], line["error"]) == (chat.opened, 12, None)
    assert (line["messages_received"], line["messages_sent"]) == (3, 2)
    assert line["close_code"] == 4321
    assert line["seconds"] > 0
    assert chat.outcomes() == {"4321": 1}
    assert pushed(chat.server.statistics().messages) == expected
    assert not ws.send("too late")
    assert pushed(chat.server.statistics().messages) == expected


def test_event_stream_with_its_messages(site: Callable[..., Site]) -> None:
    """Events and comments are messages; what the server adds is not."""
    news = site(STREAM)
    news.kept = {"retry": 1.0, "ping": 0.01}
    client = news.open()
    stream = news.views.stream()
    assert client.chunk() == b"retry: 1000\n\n"
    assert client.chunk() == b":\n\n"  # a ping
    stream.send("one", id=1)
    stream.comment("two")
    expected = {STREAM: MessageCounts(received=0, sent=2, dropped=0)}
    assert pushed(news.server.statistics().messages) == expected
    stream.close()
    news.told()
    line = news.line()
    assert (line["status"], line["error"]) == (200, None)
    assert line["size"] >= len(b"retry: 1000\n\nid: 1\ndata: one\n\n: two\n\n")
    assert (line["messages_received"], line["messages_sent"], line["close_code"]) == (0, 2, None)
    assert news.outcomes() == {"served": 1}
    assert pushed(news.server.statistics().messages) == expected


def test_events_that_were_sent_before_the_response_are_counted(site: Callable[..., Site]) -> None:
    news = site(STREAM)
    kept: list[Any] = []

    def send() -> None:
        kept.append(news.views.stream())
        assert kept[0].send("first")
        assert kept[0].send("second")

    news.kept = {"retry": 2.0}
    news.after = send
    news.open()
    counts = MessageCounts(received=0, sent=2, dropped=0)
    assert pushed(news.server.statistics().messages) == {STREAM: counts}


def test_deferred_answer_has_no_messages(site: Callable[..., Site]) -> None:
    poll = site(ANSWER)
    client = poll.open()
    poll.views.later().answer("201 Created", [], b"hello")
    assert client.answer().status == 201
    poll.told()
    line = poll.line()
    assert (line["status"], line["size"], line["error"]) == (201, 5, None)
    assert "messages_sent" not in line
    assert poll.outcomes() == {"served": 1}


def test_messages_to_a_slow_client_are_dropped(site: Callable[..., Site]) -> None:
    chat = site(WEBSOCKET, narrow=True)
    chat.kept = {"slow": "drop"}
    chat.peer(NARROW)
    ws = chat.notes.opened()
    sent = 0
    while ws.send(bytes(100_000)):
        sent += 1
    assert not ws.send("again")
    counts = MessageCounts(received=0, sent=sent, dropped=2)
    assert pushed(chat.server.statistics().messages) == {WEBSOCKET: counts}


def test_client_that_is_too_slow(site: Callable[..., Site]) -> None:
    chat = site(WEBSOCKET, narrow=True)
    chat.peer(NARROW)
    ws = chat.notes.opened()
    sent = 0
    while ws.send(bytes(100_000)):
        sent += 1
    counts = MessageCounts(received=0, sent=sent, dropped=1)
    assert pushed(chat.server.statistics().messages) == {WEBSOCKET: counts}
    assert chat.told() == ("close", 1013, "the client is too slow")
    assert chat.line()["close_code"] == 1013
    assert chat.outcomes() == {"1013": 1}


def test_event_stream_that_is_too_slow(site: Callable[..., Site]) -> None:
    news = site(STREAM, narrow=True)
    news.ask(NARROW).head()
    eventually(lambda: news.parked == 1)
    stream = news.views.stream()
    sent = 0
    while stream.send("x" * 100_000):
        sent += 1
    news.told()
    line = news.line()
    assert (line["messages_sent"], line["error"]) == (sent, "response taken too slowly")
    assert news.outcomes() == {"response taken too slowly": 1}
    counts = MessageCounts(received=0, sent=sent, dropped=1)
    assert pushed(news.server.statistics().messages) == {STREAM: counts}


def test_stream_for_which_too_much_was_sent_before_the_response(site: Callable[..., Site]) -> None:
    news = site(STREAM)

    def send() -> None:
        stream = news.views.stream()
        while stream.send("x" * 100_000):
            pass

    news.after = send
    news.ask()
    news.told()
    assert news.line()["error"] == "response taken too slowly"
    assert news.server.statistics().messages[STREAM].dropped == 1


@EACH
def test_one_descriptor_for_each_that_is_parked(site: Callable[..., Site], kind: str) -> None:
    made = site(kind)
    made.open()
    before = descriptors()
    for number in range(2, 12):
        client = made.ask()
        if kind != ANSWER:
            client.head()
        made.wait_parked(number)
    assert descriptors() - before == 10 + 10  # those of the clients are in this process, too


@EACH
def test_client_that_leaves(site: Callable[..., Site], kind: str) -> None:
    made = site(kind)
    made.open().close()
    made.told()
    line = made.line()
    error = "client closed" if kind == ANSWER else None
    status = {WEBSOCKET: made.opened, STREAM: 200, ANSWER: None}[kind]
    assert (line["status"], line["error"]) == (status, error)
    assert made.outcomes() == {"1006" if kind == WEBSOCKET else "client closed": 1}


@EACH
def test_client_that_resets(site: Callable[..., Site], kind: str) -> None:
    made = site(kind)
    made.open().reset()
    made.told()
    assert made.line()["error"] == "connection reset"
    assert made.outcomes() == {"1006" if kind == WEBSOCKET else "connection reset": 1}


def test_websocket_whose_client_answers_no_ping(site: Callable[..., Site]) -> None:
    chat = site(WEBSOCKET)
    chat.kept = {"ping": 0.01}
    chat.ask()
    assert chat.told() == ("close", 1006, "")
    line = chat.line()
    assert (line["error"], line["close_code"]) == ("upgraded connection silent", 1006)
    assert chat.outcomes() == {"1006": 1}


def test_deferred_answer_that_is_not_given_in_time(site: Callable[..., Site]) -> None:
    poll = site(ANSWER)
    poll.kept = {"timeout": 0.01}
    assert poll.ask().answer().status == 204
    poll.told()
    line = poll.line()
    assert (line["status"], line["size"], line["error"]) == (204, 0, None)
    assert poll.outcomes() == {"served": 1}


@EACH
def test_drain(site: Callable[..., Site], kind: str) -> None:
    made = site(kind)
    client = made.open()
    made.server.drain(PATIENCE)
    if kind == WEBSOCKET:
        assert client.read(2)[0] == 0x88
        client.send(bytes((0x88, 0x80, 0, 0, 0, 0)))
    client.read_all()
    client.close()
    made.told()
    line = made.line()
    status = {WEBSOCKET: made.opened, STREAM: 200, ANSWER: 204}[kind]
    assert (line["status"], line["error"]) == (status, None)
    assert made.outcomes() == {"1001" if kind == WEBSOCKET else "drained": 1}


@EACH
def test_stop(site: Callable[..., Site], kind: str) -> None:
    made = site(kind)
    made.open()
    made.served.stop()
    made.told()
    assert made.line()["error"] == "stopped"
    assert made.outcomes() == {"1006" if kind == WEBSOCKET else "stopped": 1}


@EACH
def test_refusal_by_the_view(site: Callable[..., Site], kind: str) -> None:
    made = site(kind)
    made.status = "403 Forbidden"
    assert made.ask().answer().status == 403
    made.told()
    line = made.line()
    assert (line["status"], line["error"]) == (403, None)
    assert "messages_sent" not in line
    assert made.outcomes() == {}


@EACH
def test_exception_of_the_view(site: Callable[..., Site], kind: str) -> None:
    made = site(kind)
    made.after = lambda: 1 / 0
    assert made.ask().answer().status == 500
    made.told()
    line = made.line()
    assert (line["status"], line["error"]) == (500, "the application failed")
    assert made.outcomes() == {}


def test_other_origin(site: Callable[..., Site]) -> None:
    chat = site(WEBSOCKET)
    client = chat.served.open()
    client.send(HANDSHAKE[:-2] + b"Origin: http://evil\r\n\r\n")
    assert client.answer().status == 403
    assert chat.line()["status"] == 403
    assert chat.outcomes() == {}


@EACH
def test_view_that_takes_too_long(site: Callable[..., Site], kind: str) -> None:
    made = site(kind, server={"request_timeout": 0.1})
    go = threading.Event()
    made.after = lambda: wait_for(go)
    assert made.ask().answer().status == 504
    go.set()
    made.told()
    assert made.line()["status"] == 504
    assert made.outcomes() == {}


@EACH
def test_client_that_resets_while_the_view_runs(site: Callable[..., Site], kind: str) -> None:
    made = site(kind)
    entered, go = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        wait_for(go)

    made.after = wait
    client = made.ask()
    wait_for(entered)
    client.reset()
    go.set()
    made.told()
    assert made.line()["error"] in ("the client is gone", "connection reset")


def test_callback_that_fails(site: Callable[..., Site]) -> None:
    chat = site(WEBSOCKET)

    def fail(ws: WebSocket, data: str | bytes) -> None:
        raise LookupError("of the application")

    chat.notes.act = fail
    peer = chat.peer()
    chat.notes.opened()
    peer.send("a")
    assert peer.read_close() == 1011
    assert chat.told() == ("close", 1011, "")
    line = chat.line()
    assert (line["close_code"], line["messages_received"]) == (1011, 1)
    assert chat.outcomes() == {"1011": 1}


def test_callback_that_takes_too_long(
    site: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    chat = site(WEBSOCKET, server={"request_timeout": 0.1})
    peer = chat.peer()
    chat.notes.opened()
    peer.send("hold")
    assert peer.read_close() == 1011
    assert "GET /: on_message of a websocket exceeded request_timeout (0.1 s)" in caplog.text
    chat.notes.go_on.release()
    assert chat.told() == ("close", 1011, "")
    assert chat.line()["close_code"] == 1011
    assert chat.outcomes() == {"1011": 1}


def test_message_after_the_close_is_counted_and_not_handled(site: Callable[..., Site]) -> None:
    chat = site(WEBSOCKET)
    peer = chat.peer()
    chat.notes.opened().close(1000)
    assert peer.read_close() == 1000
    peer.send("late")
    peer.send_close(1000)
    assert chat.told() == ("close", 1000, "")
    assert chat.line()["messages_received"] == 1

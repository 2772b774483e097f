from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import Timeouts
from rocket_core.testing import NARROW, PATIENCE, Client, eventually
from rocket_wsgi import EventStream, Group
from rocket_wsgi._http1.http1_framing import HTTP1Framing
from rocket_wsgi._push.event_stream import MAX_PENDING
from stream_client import StreamClient
from views import EVENTS, Views, due, get, parked, plain, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse

    from conftest import Serve
    from served import Served


@pytest.fixture
def views() -> Views:
    return Views()


def opened(client: Client, request: bytes | None = None) -> dict[str, str]:
    """Ask for an event stream; the fields of the response."""
    client.send(get() if request is None else request)
    head = client.head()
    assert head.status == 200
    return dict(head.fields)


def no_thread_is_busy(served: Served) -> None:
    eventually(lambda: all(each.peer is None for each in served.server.activities()))


# -- the response ----------------------------------------------------------------------------------


def test_body_of_the_view_is_followed_by_events_without_an_end(serve: Serve, views: Views) -> None:
    client = serve(views.feed(body=[b": welcome\n\n"])).open()
    fields = opened(client)
    assert "content-length" not in fields
    assert fields["content-type"] == "text/event-stream"
    assert fields["cache-control"] == "no-cache"
    assert client.chunk() == b": welcome\n\n"
    stream = views.stream()
    assert stream.send("one\ntwo", event="news", id=7)
    assert client.chunk() == b"event: news\nid: 7\ndata: one\ndata: two\n\n"
    assert stream.comment("quiet\nplease")
    assert client.chunk() == b": quiet\n: please\n\n"


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_body_of_the_view_may_have_any_number_of_parts(
    serve: Serve, views: Views, parts: int
) -> None:
    client = serve(views.feed(body=[b": part\n\n"] * parts)).open()
    opened(client)
    assert [client.chunk() for _ in range(parts)] == [b": part\n\n"] * parts
    views.stream().send("after")
    assert client.chunk() == b"data: after\n\n"


def test_generator_may_open_the_stream_and_is_asked_to_its_end(serve: Serve) -> None:
    steps: list[str] = []
    streams: list[EventStream] = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        streams.append(environ["rocket.events"].open(retry=None))
        start_response("200 OK", EVENTS)
        yield b": one\n\n"
        streams[0].send("between")
        yield b": two\n\n"
        steps.append("end")

    client = serve(view).open()
    opened(client)
    assert [client.chunk() for _ in range(3)] == [b": one\n\n", b": two\n\n", b"data: between\n\n"]
    assert steps == ["end"]


def test_write_of_the_response_begins_the_stream(serve: Serve) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        environ["rocket.events"].open(retry=None).send("kept")
        start_response("200 OK", EVENTS)(b": written\n\n")
        return [b": returned\n\n"]

    client = serve(view).open()
    opened(client)
    assert client.chunk() == b": written\n\n"
    assert client.chunk() == b": returned\n\n"
    assert client.chunk() == b"data: kept\n\n"


def test_list_that_opens_the_stream_while_it_is_joined(serve: Serve) -> None:
    class Lazy:
        def __init__(self, environ: dict[str, Any]) -> None:
            self._environ = environ

        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[bytes]:
            self._environ["rocket.events"].open(retry=None).send("kept")
            return iter([b": lazy\n\n"])

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*EVENTS, ("Content-Length", "8")])
        return Lazy(environ)

    client = serve(view).open()
    opened(client)
    assert client.chunk() == b": lazy\n\n"
    assert client.chunk() == b"data: kept\n\n"


def test_wrapped_file_is_the_body_of_the_view(serve: Serve, tmp_path: Any) -> None:
    (tmp_path / "first").write_bytes(b": from a file\n\n")

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.events"].open(retry=None).send("kept")
        start_response("200 OK", EVENTS)
        result: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "first").open("rb"))
        return result

    client = serve(view).open()
    opened(client)
    assert client.chunk() == b": from a file\n\n"
    assert client.chunk() == b"data: kept\n\n"


def test_content_length_that_a_framework_added_is_dropped(serve: Serve, views: Views) -> None:
    fields = [*EVENTS, ("Content-Length", "5")]
    client = serve(views.feed(body=[b": x\n\n"], fields=fields)).open()
    assert "content-length" not in opened(client)
    assert client.chunk() == b": x\n\n"
    views.stream().send("more")
    assert client.chunk() == b"data: more\n\n"


def test_content_encoding_is_an_error(
    serve: Serve, views: Views, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(views.feed(fields=[*EVENTS, ("Content-Encoding", "gzip")]))
    answer = served.get()
    assert answer.status == 500
    assert "event stream cannot have Content-Encoding: gzip" in caplog.text
    assert views.ended().closed


def test_identity_is_no_content_coding(serve: Serve, views: Views) -> None:
    client = serve(views.feed(fields=[*EVENTS, ("Content-Encoding", "identity")])).open()
    opened(client)


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content"])
def test_status_without_a_body_is_an_ordinary_response(
    serve: Serve, views: Views, status: str
) -> None:
    check_ordinary(serve(views.feed(status)), views, int(status[:3]))


@pytest.mark.parametrize("status", ["300 Multiple Choices", "302 Found", "500 Server Error"])
def test_status_of_300_and_more_is_an_ordinary_response(
    serve: Serve, views: Views, status: str
) -> None:
    check_ordinary(serve(views.feed(status, body=[b"no"])), views, int(status[:3]), b"no")


def test_response_to_head_is_an_ordinary_one(serve: Serve, views: Views) -> None:
    check_ordinary(serve(views.feed()), views, 200, method="HEAD")


def check_ordinary(
    served: Served, views: Views, status: int, body: bytes = b"", method: str = "GET"
) -> None:
    client = served.open()
    client.send(get(method=method))
    answer = client.answer(method)
    assert (answer.status, answer.body) == (status, body)
    stream = views.stream()
    assert views.ended() is stream
    assert stream.closed
    assert not stream.send("late")
    client.send(get("/other"))
    assert client.answer().body == b"plain"
    assert views.closed.empty()


@pytest.mark.http1
def test_http_1_0_gets_the_stream_until_the_connection_is_closed(
    serve: Serve, views: Views
) -> None:
    client = serve(views.feed(body=[b": hi\n\n"])).open()
    fields = opened(client, get(version="1.0"))
    assert "transfer-encoding" not in fields
    assert "content-length" not in fields
    stream = views.stream()
    stream.send("x")
    stream.close()
    assert client.read_all() == b": hi\n\ndata: x\n\n"
    assert views.ended() is stream


def test_view_that_fails_before_the_response_closes_the_stream(serve: Serve, views: Views) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        environ["rocket.events"].open(on_close=views.closed.put)
        raise RuntimeError("a fault of the view")

    assert serve(view).get().status == 500
    assert views.ended().closed


def test_view_that_fails_within_the_response_cuts_the_stream(serve: Serve, views: Views) -> None:
    def broken() -> Iterator[bytes]:
        yield b": one\n\n"
        raise RuntimeError("a fault of the view")

    client = serve(views.feed(body=broken())).open()
    opened(client)
    stream = views.stream()
    assert client.read_all() in (b"7\r\n: one\n\n\r\n", b": one\n\n")
    assert views.ended() is stream
    assert stream.closed


def test_client_that_has_left_before_the_response_is_sent(serve: Serve, views: Views) -> None:
    go_on = threading.Event()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        views.streams.put(environ["rocket.events"].open(on_close=views.closed.put))
        wait_for(go_on)
        start_response("200 OK", EVENTS)
        return [b": x\n\n"] * 3

    served = serve(view)
    client = served.open()
    client.send(get())
    stream = views.stream()
    client.reset()
    go_on.set()
    assert views.ended() is stream
    assert stream.closed


# -- sending ---------------------------------------------------------------------------------------


def test_what_is_sent_before_the_response_is_kept_and_follows_it(serve: Serve) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        stream = environ["rocket.events"].open(retry=2.5)
        assert stream.send("first", id="a")
        assert stream.comment("second")
        assert stream.pending == len(b"id: a\ndata: first\n\n: second\n\n")
        assert not stream.closed
        start_response("200 OK", EVENTS)
        return [b": welcome\n\n"]

    client = serve(view).open()
    opened(client)
    chunks = [client.chunk() for _ in range(4)]
    assert chunks == [
        b": welcome\n\n",
        b"retry: 2500\n\n",
        b"id: a\ndata: first\n\n",
        b": second\n\n",
    ]


def test_retry_is_three_seconds_unless_the_application_says_otherwise(serve: Serve) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        environ["rocket.events"].open()
        start_response("200 OK", EVENTS)
        return []

    client = serve(view).open()
    opened(client)
    assert client.chunk() == b"retry: 3000\n\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"data": b"bytes"}, TypeError),
        ({"data": None}, TypeError),
        ({"data": "x", "event": "a\nb"}, ValueError),
        ({"data": "x", "event": "a\rb"}, ValueError),
        ({"data": "x", "event": "a\0b"}, ValueError),
        ({"data": "x", "id": "a\nb"}, ValueError),
        ({"data": "x", "id": "a\0b"}, ValueError),
        ({"data": "x", "id": "ä"}, ValueError),
    ],
)
def test_what_does_not_fit_is_an_error(
    serve: Serve, views: Views, arguments: dict[str, Any], error: type[Exception]
) -> None:
    client = serve(views.feed()).open()
    opened(client)
    stream = views.stream()
    with pytest.raises(error):
        stream.send(**arguments)
    assert stream.send("good", id=1)
    assert client.chunk() == b"id: 1\ndata: good\n\n"


@pytest.mark.parametrize(
    "options", [{"retry": -1.0}, {"retry": float("inf")}, {"ping": 0.0}, {"ping": float("nan")}]
)
def test_times_that_are_none_are_errors(serve: Serve, options: dict[str, float]) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        with pytest.raises(ValueError, match="number of seconds"):
            environ["rocket.events"].open(**options)
        return plain(environ, start_response)

    assert serve(view).get().body == b"plain"


def test_comments_are_sent_after_silence(serve: Serve, views: Views) -> None:
    client = serve(views.feed(ping=0.2)).open()
    opened(client)
    assert client.chunk() == b":\n\n"
    assert client.chunk() == b":\n\n"


def test_comment_is_due_after_15_seconds_unless_the_application_says_otherwise(
    serve: Serve, views: Views
) -> None:
    served = serve(views.feed())
    client = served.open()
    before = monotonic()
    opened(client)
    eventually(lambda: parked(served) == 1)
    after = monotonic()
    shared = views.stream()._shared
    assert shared is not None
    eventually(lambda: before + 15.0 <= due(shared) <= after + 15.0)


def test_no_comment_is_sent_without_ping(serve: Serve, views: Views) -> None:
    view = views.feed(ping=None)
    client = serve(view).open()
    opened(client)
    stream = views.stream()
    eventually(lambda: stream._shared)  # no time that passes would prove it
    shared = stream._shared
    assert shared is not None
    eventually(lambda: due(shared) == float("inf"))


def test_what_is_sent_puts_the_comment_off(serve: Serve, views: Views) -> None:
    stream = EventStream(dict, HTTP1Framing(modern=True, body=True), None)
    shared = Recorded()
    stream.begin(shared, dict, 100.0, keep_alive=True)  # type: ignore[arg-type]
    assert stream.ping(110.0, 15.0) == 115.0
    assert shared.queued == []
    assert stream.ping(115.0, 15.0) == 130.0
    assert shared.queued == [b"3\r\n:\n\n\r\n"]
    shared.pending = 4
    assert stream.ping(131.0, 15.0) == 146.0
    assert len(shared.queued) == 1


def test_stream_holds_no_thread(serve: Serve, views: Views) -> None:
    served = serve(views.feed(), threads=1)
    clients = [served.open() for _ in range(20)]
    for client in clients:
        opened(client)
    streams = [views.stream() for _ in clients]
    assert served.get("/other").body == b"plain"
    no_thread_is_busy(served)
    eventually(lambda: parked(served) == 20)
    for stream in streams:
        assert stream.send("x")
    assert [client.chunk() for client in clients] == [b"data: x\n\n"] * 20


def test_many_threads_send_whole_events(serve: Serve, views: Views) -> None:
    client = serve(views.feed()).open()
    opened(client)
    stream = views.stream()

    def send(thread: int) -> None:
        for number in range(100):
            assert stream.send(f"{thread} {number}")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    chunks = [client.chunk() for _ in range(400)]
    for thread in threads:
        thread.join(PATIENCE)
    for number in range(4):
        mine = [chunk for chunk in chunks if chunk.startswith(b"data: %d " % number)]
        assert mine == [b"data: %d %d\n\n" % (number, each) for each in range(100)]


def test_client_that_does_not_read_is_cut_off_without_the_end(serve: Serve, views: Views) -> None:
    served = serve(views.feed(), narrow=True)
    client = served.open(receive_buffer=NARROW)
    opened(client)
    stream = views.stream()
    while stream.send("x" * 10_000):
        pass
    assert stream.closed
    assert not stream.send("late")
    assert views.ended() is stream
    received = bytearray()
    with pytest.raises(ConnectionError):  # noqa: PT012 - a reset, or the end of the stream
        while piece := client.read(4096):
            received += piece
        raise ConnectionError
    assert not received.endswith(b"0\r\n\r\n")


def test_client_is_cut_off_once_256_kib_wait(serve: Serve, views: Views) -> None:
    """Only this thread sends, so that what waits does not grow between two looks."""
    served = serve(views.feed(), narrow=True)
    client = served.open(receive_buffer=NARROW)
    opened(client)
    stream = views.stream()
    eventually(lambda: parked(served) == 1)
    if isinstance(client, StreamClient):  # all that it has sent so far is read with this
        assert client.http2.get("/other").text == "plain"
    no_thread_is_busy(served)
    waiting = 0
    while stream.send("x" * 10_000):
        waiting = stream.pending
    assert 256 * 1024 <= waiting < 512 * 1024
    assert views.ended() is stream


def test_client_may_have_256_kib_waiting(serve: Serve, views: Views) -> None:
    served = serve(views.feed(), narrow=True)
    client = served.open(receive_buffer=NARROW)
    opened(client)
    stream = views.stream()
    sent = 0
    while stream.pending < MAX_PENDING:
        assert stream.send("x" * 1000)
        sent += 1
    assert not stream.closed
    for _ in range(sent):
        assert client.chunk() == b"data: " + b"x" * 1000 + b"\n\n"
    assert stream.send("again")
    assert client.chunk() == b"data: again\n\n"


def test_no_more_than_that_is_kept_before_the_response(serve: Serve, views: Views) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        stream = environ["rocket.events"].open(retry=None, on_close=views.closed.put)
        while stream.send("x" * 10_000):
            assert stream.pending < MAX_PENDING + 20_000
        assert stream.closed
        start_response("200 OK", EVENTS)
        return [b": welcome\n\n"]

    client = serve(view).open()
    client.send(get())
    assert views.ended().closed
    assert not client.read_all().endswith(b"0\r\n\r\n")


# -- the end ---------------------------------------------------------------------------------------


def test_close_ends_the_response_and_keeps_the_connection(serve: Serve, views: Views) -> None:
    client = serve(views.feed()).open()
    opened(client)
    stream = views.stream()
    stream.send("last")
    stream.close()
    assert stream.closed
    assert not stream.send("late")
    assert not stream.comment("late")
    stream.close()
    assert client.chunk() == b"data: last\n\n"
    assert client.chunk() == b""
    assert views.ended() is stream
    client.send(get("/other"))
    assert client.answer().body == b"plain"
    assert views.closed.empty()


@pytest.mark.http1
def test_request_behind_the_stream_waits_for_its_end(serve: Serve, views: Views) -> None:
    client = serve(views.feed()).open()
    opened(client, get() + get("/other"))
    stream = views.stream()
    stream.send("x")
    assert client.chunk() == b"data: x\n\n"
    stream.close()
    assert client.chunk() == b""
    assert client.answer().body == b"plain"


def test_close_before_the_response_ends_it_after_what_was_kept(serve: Serve, views: Views) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        stream = environ["rocket.events"].open(retry=None, on_close=views.closed.put)
        stream.send("only")
        stream.close()
        assert stream.closed
        assert not stream.send("late")
        start_response("200 OK", EVENTS)
        return [b": hi\n\n"]

    answer = serve(view).get()
    assert answer.body == b": hi\n\ndata: only\n\n"
    assert views.ended().closed


@pytest.mark.http1
def test_connection_that_is_not_kept_closes_after_the_stream(serve: Serve, views: Views) -> None:
    client = serve(views.feed()).open()
    assert opened(client, get("/", "Connection: close"))["connection"] == "close"
    views.stream().close()
    assert client.chunk() == b""
    assert client.closed_by_server()


@pytest.mark.parametrize("leave", ["half_close", "reset", "leave"])
def test_client_that_leaves_closes_the_stream(serve: Serve, views: Views, leave: str) -> None:
    served = serve(views.feed())
    client = served.open()
    opened(client)
    getattr(client, leave, client.close)()
    stream = views.ended()
    assert stream is views.stream()
    assert stream.closed
    assert stream.pending == 0
    assert not stream.send("late")
    eventually(lambda: "event stream" not in served.server.statistics().shared)


def test_drain_ends_streams_and_tells_clients_when_to_come_back(serve: Serve, views: Views) -> None:
    served = serve(views.feed(retry=10.0))
    clients = [served.open() for _ in range(8)]
    for client in clients:
        opened(client)
        assert client.chunk() == b"retry: 10000\n\n"
    served.server.drain(PATIENCE)
    retries = set()
    for client in clients:
        name, _, value = client.chunk().partition(b": ")
        assert name == b"retry"
        assert client.chunk() == b""
        assert client.closed_by_server()
        retries.add(int(value))
    assert len(retries) > 1
    assert all(5_000 <= each <= 15_000 for each in retries)
    assert {views.ended() for _ in clients} == {views.stream() for _ in clients}


def test_stop_cuts_streams(serve: Serve, views: Views) -> None:
    served = serve(views.feed())
    client = served.open()
    opened(client)
    eventually(lambda: parked(served))
    served.stop()
    assert client.closed_by_server()
    assert views.ended().closed


def test_client_that_takes_too_little_is_cut_off(serve: Serve, views: Views) -> None:
    served = serve(views.feed(), narrow=True, timeouts=Timeouts(grace=0.2, stall=0.2))
    client = served.open(receive_buffer=NARROW)
    opened(client)
    stream = views.stream()
    while stream.pending < 100_000 and stream.send("x" * 10_000):
        pass
    assert views.ended() is stream


# -- what the application sees ---------------------------------------------------------------------


def test_context_is_the_applications(serve: Serve, views: Views) -> None:
    client = serve(views.feed()).open()
    opened(client)
    stream = views.stream()
    assert stream.context is None
    stream.context = {"user": 1}
    client.close()
    assert views.ended().context == {"user": 1}


def test_stream_is_a_member_of_groups_until_it_ends(serve: Serve, views: Views) -> None:
    served = serve(views.feed())
    group, other = Group(), Group()
    clients = [served.open() for _ in range(3)]
    for client in clients:
        opened(client)
        stream = views.stream()
        group.add(stream)
        other.add(stream)
    other.discard(stream)
    assert group.send("all", event="e", id=3) == 3
    assert [client.chunk() for client in clients] == [b"event: e\nid: 3\ndata: all\n\n"] * 3
    clients[0].close()
    views.ended()
    assert (len(group), len(other)) == (2, 1)
    assert group.send("rest") == 2
    stream.close()
    group.add(stream)
    assert stream not in group


def test_stream_of_an_ordinary_response_leaves_its_groups(serve: Serve, views: Views) -> None:
    group = Group()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        group.add(environ["rocket.events"].open(on_close=views.closed.put))
        assert len(group) == 1
        start_response("403 Forbidden", [])
        return []

    assert serve(view).get().status == 403
    views.ended()
    assert len(group) == 0


def test_group_replays_its_history_before_the_response(serve: Serve) -> None:
    group = Group(history=10)
    for number in range(5):
        group.send(str(number), id=number)

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        stream = environ["rocket.events"].open(retry=None)
        group.add(stream, since=environ.get("HTTP_LAST_EVENT_ID"))
        start_response("200 OK", EVENTS)
        return [b": welcome\n\n"]

    client = serve(view).open()
    opened(client, get("/", "Last-Event-ID: 2"))
    chunks = [client.chunk() for _ in range(3)]
    assert chunks == [b": welcome\n\n", b"id: 3\ndata: 3\n\n", b"id: 4\ndata: 4\n\n"]


def test_on_close_that_fails_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Event()

    def broken(stream: EventStream) -> None:
        called.set()
        raise ValueError("a fault of the callback")

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        environ["rocket.events"].open(on_close=broken)
        start_response("200 OK", EVENTS)
        return []

    caplog.set_level(logging.ERROR)
    served = serve(view)
    client = served.open()
    opened(client, get("/here"))
    client.close()
    wait_for(called)
    eventually(lambda: "GET /here: on_close of an event stream failed" in caplog.text)
    assert "a fault of the callback" in caplog.text
    assert "Traceback" in caplog.text


class Recorded:
    """A shared connection that notes what is queued."""

    def __init__(self) -> None:
        self.queued: list[bytes] = []
        self.pending = 0
        self.blocked = False
        self.over = False

    def queue(self, data: bytes, *, control: bool = False) -> bool:
        self.queued.append(data)
        return True


def test_stream_that_lapses_ends_and_its_client_makes_another_connection(
    serve: Serve, views: Views
) -> None:
    client = serve(views.feed(retry=10.0)).open()
    opened(client)
    stream = views.stream()
    group = Group(history=1)
    group.add(stream)
    assert client.chunk() == b"retry: 10000\n\n"
    stream.lapse()
    name, _, value = client.chunk().partition(b": ")
    assert name == b"retry"
    assert 5_000 <= int(value) <= 15_000
    assert client.chunk() == b""
    assert client.closed_by_server()
    assert stream.closed


def test_stream_that_lapses_leaves_its_groups_at_once(serve: Serve, views: Views) -> None:
    group = Group(history=1)
    lengths = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["rocket.events"].open()
        group.add(stream)
        stream.lapse()
        lengths.append(len(group))
        start_response("200 OK", EVENTS)
        return []

    serve(view).exchange(get())
    assert lengths == [0]

"""Event streams and deferred answers on streams: what HTTP/1.1 has no like of.

What both have in common is tested in `push`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client, StreamAnswer
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import Group
from views import EVENTS, Views, parked, plain, pushed, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse

    from conftest import Serve

Connect = Callable[..., HTTP2Client]

NO_ERROR, INTERNAL_ERROR, CANCEL = 0, 2, 8
BOUND = 256 * 1024


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, which are closed with the test."""
    with ExitStack() as stack:
        yield lambda served, **options: stack.enter_context(HTTP2Client(served.address, **options))


@pytest.fixture
def views() -> Views:
    return Views()


def begin(client: HTTP2Client, path: str = "/", method: str = "GET") -> StreamAnswer:
    """Send a request; return what comes."""
    return client.answers[client.begin(path, method)]


def until_text(client: HTTP2Client, answer: StreamAnswer, text: str) -> None:
    client.until(lambda: answer.text.endswith(text))


def streams_of(views: Views, client: HTTP2Client, count: int) -> list[tuple[StreamAnswer, Any]]:
    """Begin event streams on one connection; return what comes, and the streams."""
    begun = []
    for _ in range(count):
        answer = begin(client)
        begun.append((answer, views.stream()))
    return begun


def test_a_hundred_event_streams_of_one_connection_hold_no_thread(
    serve: Serve, connect: Connect, views: Views
) -> None:
    served = serve(views.feed(), h2c=True, threads=1)
    client = connect(served)
    group = Group()
    begun = streams_of(views, client, 99)
    for _, stream in begun:
        group.add(stream)
    assert client.get("/other").text == "plain"
    eventually(lambda: parked(served) == 99)
    assert served.server.connections == 1
    assert group.send("all") == 99
    for answer, _ in begun:
        until_text(client, answer, "data: all\n\n")
    assert pushed(served.server.statistics().messages)["event stream"].sent == 99


def test_a_hundred_deferred_answers_of_one_connection(
    serve: Serve, connect: Connect, views: Views
) -> None:
    served = serve(views.poll(), h2c=True, threads=1)
    client = connect(served)
    answers = [begin(client) for _ in range(99)]
    waiting = [views.later() for _ in answers]
    assert client.get("/other").text == "plain"
    eventually(lambda: parked(served) == 99)
    for number, later in enumerate(waiting):
        assert later.answer("200 OK", [], b"%d" % number)
    client.until(lambda: all(each.ended for each in answers))
    assert sorted(int(each.text) for each in answers) == list(range(99))


def test_client_that_gives_no_window_fills_the_bound_of_that_stream_alone(
    serve: Serve, connect: Connect, views: Views
) -> None:
    served = serve(views.feed(), h2c=True, threads=1)
    client = connect(served, window=1000, gives_credit=False)
    slow, stream = streams_of(views, client, 1)[0]
    client.until(lambda: slow.status)
    waiting = 0
    while stream.send("x" * 10_000):
        waiting = stream.pending
    # A thread that is interrupted while it sends has not found yet that there is no window: what is
    # queued meanwhile counts as about to be sent.
    assert waiting >= BOUND
    assert stream.closed
    assert views.ended() is stream
    client.until(lambda: slow.reset is not None)
    assert (slow.reset, slow.ended) == (CANCEL, False)
    assert len(slow.body) <= 1000
    assert client.get("/other").text == "plain"
    assert served.server.statistics().held == 0
    assert pushed(served.server.statistics().outcomes) == {
        "event stream": {"response taken too slowly": 1}
    }


def test_what_waits_for_a_window_follows_when_it_opens(
    serve: Serve, connect: Connect, views: Views
) -> None:
    served = serve(views.feed(), h2c=True)
    client = connect(served, window=1000, gives_credit=False)
    answer, stream = streams_of(views, client, 1)[0]
    for number in range(100):
        assert stream.send(f"{number} " + "x" * 1000)
    stream.close()
    assert not stream.send("late")
    client.gives_credit = True
    client.until(lambda: answer.body)
    client.credit(1, 500_000)
    client.until(lambda: answer.ended)
    events = answer.text.split("\n\n")
    assert [each.split(" ")[1] for each in events[:-1]] == [str(each) for each in range(100)]
    assert views.ended() is stream
    eventually(lambda: served.server.statistics().held == 0)


def test_one_stream_that_waits_keeps_no_other_from_its_window(
    serve: Serve, connect: Connect, views: Views
) -> None:
    client = connect(serve(views.feed(), h2c=True), window=1000, gives_credit=False)
    (slow, stuck), (quick, stream) = streams_of(views, client, 2)
    for _ in range(20):
        assert stuck.send("x" * 10_000)
    client.until(lambda: len(slow.body) == 1000)
    assert stream.send("news")
    until_text(client, quick, "data: news\n\n")
    assert not stuck.closed


def test_reset_ends_that_stream_at_once(serve: Serve, connect: Connect, views: Views) -> None:
    served = serve(views.feed(), h2c=True)
    client = connect(served)
    (_, first), (answer, second) = streams_of(views, client, 2)
    client.reset(1)
    assert views.ended() is first
    assert first.closed
    assert not first.send("late")
    assert second.send("still here")
    until_text(client, answer, "data: still here\n\n")
    assert pushed(served.server.statistics().outcomes) == {"event stream": {"client closed": 1}}


def test_reset_of_a_deferred_answer_is_seen_at_once(
    serve: Serve, connect: Connect, views: Views
) -> None:
    client = connect(serve(views.poll(), h2c=True))
    begin(client)
    later = views.later()
    client.reset(1)
    assert views.ended() is later
    assert later.gone
    assert not later.answer("200 OK", [], b"late")
    assert client.get("/other").text == "plain"


@pytest.mark.parametrize("use", ["events", "deferred"])
def test_reset_while_the_view_runs_ends_what_was_begun(
    serve: Serve, connect: Connect, views: Views, use: str
) -> None:
    entered, go = threading.Event(), threading.Event()

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/other":
            return plain(environ, start_response)
        if use == "events":
            environ["rocket.events"].open(on_close=views.closed.put)
        else:
            environ["rocket.deferred"].hold(on_close=views.closed.put)
        entered.set()
        wait_for(go)
        start_response("200 OK", EVENTS)
        return []

    served = serve(view, h2c=True)
    client = connect(served)
    begin(client)
    wait_for(entered)
    client.reset(1)
    assert client.get("/other").text == "plain"  # so the reset has arrived
    go.set()
    views.ended()
    assert client.get("/other").text == "plain"
    eventually(lambda: not pushed(served.server.statistics().shared))


def test_drain_ends_what_goes_on_and_then_the_connection(
    serve: Serve, connect: Connect, views: Views
) -> None:
    feed, poll = views.feed(retry=10.0), views.poll(otherwise=("200 OK", [], b"drained"))

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return (poll if environ["PATH_INFO"] == "/poll" else feed)(environ, start_response)

    served = serve(view, h2c=True)
    client = connect(served)
    stream, answer = begin(client), begin(client, "/poll")
    views.stream()
    views.later()
    eventually(lambda: parked(served) == 2)
    served.server.drain(PATIENCE)
    client.until(lambda: stream.ended and answer.ended)
    assert stream.text.startswith("retry: 10000\n\nretry: ")
    assert answer.text == "drained"
    client.until(lambda: client.closed)
    assert client.goaways[-1] == (3, NO_ERROR)
    assert served.server.wait(PATIENCE)
    assert pushed(served.server.statistics().outcomes) == {
        "event stream": {"drained": 1},
        "deferred answer": {"drained": 1},
    }


def test_stream_that_is_begun_in_a_drain_ends_too(
    serve: Serve, connect: Connect, views: Views
) -> None:
    entered, go = threading.Event(), threading.Event()
    feed = views.feed()

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        entered.set()
        wait_for(go)
        return feed(environ, start_response)

    served = serve(view, h2c=True)
    client = connect(served)
    stream = begin(client)
    wait_for(entered)
    served.server.drain(PATIENCE)
    client.until(lambda: client.goaways)
    go.set()
    client.until(lambda: stream.ended)
    assert views.ended() is views.stream()
    assert served.server.wait(PATIENCE)


def test_view_that_fails_in_its_body_resets_the_stream_alone(
    serve: Serve, connect: Connect, views: Views
) -> None:
    def broken() -> Iterator[bytes]:
        yield b": one\n\n"
        raise RuntimeError("a fault of the view")

    client = connect(serve(views.feed(body=broken()), h2c=True))
    answer = begin(client)
    client.until(lambda: answer.reset is not None)
    assert (answer.reset, answer.ended) == (INTERNAL_ERROR, False)
    assert views.ended() is views.stream()
    assert client.get("/other").text == "plain"


def test_refusal_that_the_client_takes_slowly_is_sent_whole(
    serve: Serve, connect: Connect, views: Views
) -> None:
    body = bytes(3_000_000)
    served = serve(views.feed("403 Forbidden", body=[body]), h2c=True, threads=1)
    client = connect(served, window=10_000)
    answer = begin(client)
    client.until(lambda: answer.body)
    assert client.get("/other").text == "plain"
    client.until(lambda: answer.ended)
    assert answer.body == body
    assert views.ended() is views.stream()


def test_overdue_view_is_answered_504_on_its_stream_alone(
    serve: Serve, connect: Connect, views: Views
) -> None:
    go = threading.Event()
    poll = views.poll()

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        result = poll(environ, start_response)
        if environ["PATH_INFO"] == "/late":
            wait_for(go)
        return result

    client = connect(serve(view, h2c=True, server={"request_timeout": 0.2}))
    waiting = begin(client)
    later = views.later()
    late = begin(client, "/late")
    client.until(lambda: late.ended)
    assert late.status == 504
    assert later.answer("200 OK", [], b"in time")
    client.until(lambda: waiting.ended)
    assert waiting.text == "in time"
    go.set()
    assert {views.ended(), views.ended()} == {later, views.later()}


def test_overdue_callback_leaves_its_thread_and_other_streams(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()
    begun: list[Any] = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/other":
            return plain(environ, start_response)
        begun.append(environ["rocket.events"].open(retry=None, on_close=lambda _: wait_for(go)))
        start_response("200 OK", EVENTS)
        return []

    client = connect(serve(view, h2c=True, threads=1, server={"request_timeout": 0.1}))
    first = begin(client)
    client.until(lambda: first.status)
    second = begin(client)
    client.until(lambda: second.status)
    begun[0].close()
    client.until(lambda: first.ended)
    eventually(lambda: "on_close of an event stream exceeded request_timeout" in caplog.text)
    assert begun[1].send("on")
    until_text(client, second, "data: on\n\n")
    assert client.get("/other").text == "plain"
    go.set()


def test_body_that_the_view_has_not_read_keeps_nothing_waiting(
    serve: Serve, connect: Connect, views: Views
) -> None:
    served = serve(views.feed(), h2c=True, stream_bodies=True)
    client = connect(served)
    number = client.begin("/", "POST", end=False)
    stream = views.stream()
    client.until(lambda: client.answers[number].status)
    client.send(number, bytes(1_000_000))
    assert stream.send("after it")
    until_text(client, client.answers[number], "data: after it\n\n")
    stream.close()
    assert client.answer(number).ended


def test_connection_gives_way_where_shared_ones_do(
    serve: Serve, connect: Connect, views: Views
) -> None:
    served = serve(views.feed(), h2c=True, server={"max_connections": 1, "evict_shared": True})
    client = connect(served)
    streams_of(views, client, 2)
    other = connect(served)
    assert other.get("/other").text == "plain"
    assert views.ended()
    assert views.ended()


def test_lost_connection_ends_all_streams(serve: Serve, connect: Connect, views: Views) -> None:
    served = serve(views.feed(), h2c=True)
    client = connect(served)
    begun = streams_of(views, client, 10)
    client.close()
    assert {views.ended() for _ in begun} == {stream for _, stream in begun}
    eventually(lambda: not served.server.statistics().shared)
    assert served.server.statistics().held == 0


def test_stop_tells_all_streams(serve: Serve, connect: Connect, views: Views) -> None:
    served = serve(views.feed(), h2c=True)
    begun = streams_of(views, connect(served), 10)
    served.stop()
    assert {views.ended() for _ in begun} == {stream for _, stream in begun}
    assert pushed(served.server.statistics().outcomes) == {"event stream": {"stopped": 10}}


def test_error_of_the_client_ends_all_streams(serve: Serve, connect: Connect, views: Views) -> None:
    served = serve(views.feed(), h2c=True)
    client = connect(served)
    begun = streams_of(views, client, 3)
    client.send_raw(b"\x00\x00\x01\x06\x00\x00\x00\x00\x00x")  # a PING of one byte
    client.until(lambda: client.goaways)
    assert {views.ended() for _ in begun} == {stream for _, stream in begun}
    assert pushed(served.server.statistics().outcomes) == {"event stream": {"protocol violated": 3}}


def test_many_threads_send_on_many_streams(serve: Serve, connect: Connect, views: Views) -> None:
    client = connect(serve(views.feed(), h2c=True))
    begun = streams_of(views, client, 8)

    def send(stream: Any, thread: int) -> None:
        for number in range(100):
            assert stream.send(f"{thread} {number}")

    threads = [
        threading.Thread(target=send, args=(stream, thread))
        for _, stream in begun
        for thread in range(2)
    ]
    for each in threads:
        each.start()
    client.until(lambda: all(answer.text.count("\n\n") == 200 for answer, _ in begun))
    for answer, _ in begun:
        events = answer.text.split("\n\n")
        for thread in range(2):
            mine = [each for each in events if each.startswith(f"data: {thread} ")]
            assert mine == [f"data: {thread} {number}" for number in range(100)]
    for each in threads:
        each.join(PATIENCE)

"""The calls of the application, and what the client receives (PEP 3333)."""

from __future__ import annotations

import gzip
import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Serve
from rocket_core import Timeouts
from rocket_core.extending import OUTPUT_BOUND
from rocket_wsgi import AccessLog, ApplicationError

Start = Callable[..., Callable[[bytes], None]]
PLAIN = [("Content-Type", "text/plain")]


def returning(
    result: Any, status: str = "200 OK", headers: list[tuple[str, str]] = PLAIN
) -> Callable[[dict[str, Any], Start], Any]:
    def application(environ: dict[str, Any], start_response: Start) -> Any:
        start_response(status, headers)
        return result() if callable(result) else result

    return application


class Closing:
    """An iterable that records that it was closed."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        yield from self._items

    def close(self) -> None:
        self.closed.set()


def test_one_element_gets_a_length(serve: Serve) -> None:
    answer = serve(returning([b"hello"])).get()
    assert (answer.version, answer.status, answer.reason) == ("HTTP/1.1", 200, "OK")
    assert answer["Content-Length"] == "5"
    assert answer.body == b"hello"
    assert "Connection" not in answer
    assert answer["Date"].endswith(" GMT")
    assert answer["Server"].startswith("Rocket/")


def breaking() -> Iterator[bytes]:
    yield b"one"
    yield b"two"
    raise ValueError("midway")


def test_a_client_of_http_1_0_notices_an_incomplete_body(serve: Serve) -> None:
    """The end of the connection is the end of the body, so an incomplete body ends in a reset."""
    stream = serve(returning(breaking)).open()
    stream.send(b"GET / HTTP/1.0\r\n\r\n")
    assert stream.head()[1] == 200
    assert stream.read(6) == b"onetwo"
    with pytest.raises(ConnectionResetError):
        stream.rest()


def test_an_empty_result_gets_a_length(serve: Serve) -> None:
    for nothing in ([], (), [b""], lambda: iter(()), lambda: iter([b"", b""])):
        answer = serve(returning(nothing)).get()
        assert (answer["Content-Length"], answer.body) == ("0", b"")


def test_several_elements_are_chunked(serve: Serve) -> None:
    client = serve(returning([b"a" * 10, b"", b"b" * 100_000, b"c"]))
    stream = client.open()
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    _, _, _, fields = stream.head()
    assert ("transfer-encoding", "chunked") in fields
    assert [stream.chunk() for _ in range(4)] == [b"a" * 10, b"b" * 100_000, b"c", b""]
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert stream.answer().body == b"a" * 10 + b"b" * 100_000 + b"c"


def test_clients_of_http_1_0_get_the_end_of_the_stream(serve: Serve) -> None:
    client = serve(returning([b"a", b"b"]))
    answer = client.exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answer["Connection"] == "close"
    assert answer.body == b"ab"


def test_generators_are_sent_item_by_item(serve: Serve) -> None:
    go_on = threading.Semaphore(0)

    def items() -> Iterator[bytes]:
        for item in (b"one", b"two"):
            yield item
            assert go_on.acquire(timeout=30)

    stream = serve(returning(items)).open()
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    stream.head()
    for item in (b"one", b"two"):
        assert stream.chunk() == item
        go_on.release()
    assert stream.chunk() == b""


def test_write(serve: Serve) -> None:
    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"one ")
        write(b"two ")
        return [b"three"]

    assert serve(application).get().body == b"one two three"


def test_head_has_the_fields_of_get_and_no_body(serve: Serve) -> None:
    for result in ([b"hello"], lambda: iter([b"he", b"llo"])):
        client = serve(returning(result))
        stream = client.open()
        stream.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head, get = stream.answer("HEAD"), stream.answer()
        assert [name for name, _ in head.fields] == [name for name, _ in get.fields]
        assert (head.body, get.body) == (b"", b"hello")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body(serve: Serve, status: str) -> None:
    client = serve(returning([b"ignored"], status, []))
    stream = client.open()
    for _ in range(2):
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = stream.answer()
        assert answer.status == int(status[:3])
        assert "Content-Length" not in answer
        assert "Transfer-Encoding" not in answer


def test_not_modified_may_tell_its_length(serve: Serve) -> None:
    answer = serve(returning([], "304 Not Modified", [("Content-Length", "5")])).get()
    assert answer["Content-Length"] == "5"


@pytest.mark.parametrize(
    "result", [[b"a"], lambda: iter([b"a"]), [b"a" * 200_000], lambda: iter([b"a", b"b"])]
)
def test_close_is_called(serve: Serve, result: Any) -> None:
    closing = Closing(result() if callable(result) else result)
    serve(returning(closing)).get()
    assert closing.closed.wait(30)


def test_close_is_called_when_iterating_fails(serve: Serve) -> None:
    def items() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("broken")

    closing = Closing(items())
    stream = serve(returning(closing)).open()
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    stream.head()
    assert stream.chunk() == b"a"
    assert stream.rest() == b""  # cut, without the chunk that would say the body is complete
    assert closing.closed.wait(30)


def test_close_is_called_when_the_client_disconnects(serve: Serve) -> None:
    closing = Closing(b"x" * OUTPUT_BOUND for _ in range(1_000_000))
    stream = serve(returning(closing)).open()
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    stream.head()
    stream.close()
    assert closing.closed.wait(30)


def test_a_close_that_fails_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Closing):
        def close(self) -> None:
            super().close()
            raise ValueError("cannot close")

    closing = Failing([b"a"])
    client = serve(returning(closing))
    assert client.get().status == 200
    assert client.get().status == 200
    client.stop()
    assert "cannot close" in caplog.text


def test_an_application_that_raises_is_answered_500(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/":
            start_response("200 OK", [])
            return [b"fine"]
        if environ["PATH_INFO"] == "/exit":
            sys.exit(3)
        raise ValueError("a reason")

    client = serve(application, threads=1)
    for path in ("/raise", "/exit"):
        answer = client.get(path)
        assert answer.status == 500
        assert b"a reason" not in answer.body
    assert "ValueError: a reason" in caplog.text
    assert "SystemExit: 3" in caplog.text
    assert "GET /raise" in caplog.text
    assert client.get("/").body == b"fine"
    stream = client.open()
    stream.send(b"GET /raise HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [stream.answer().status, stream.answer().status] == [500, 200]


def test_exc_info_replaces_what_was_not_sent(serve: Serve) -> None:
    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        start_response("200 OK", [("X-A", "1")])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [("X-B", "2")], sys.exc_info())
        return [b"error page"]

    answer = serve(application).get()
    assert (answer.status, answer.reason, answer.body) == (500, "Oops", b"error page")
    assert "X-A" not in answer


def test_exc_info_is_raised_when_it_is_too_late(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"sent"
        try:
            raise ValueError("too late")
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
        yield b"never"

    stream = serve(application).open()
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert stream.rest().endswith(b"4\r\nsent\r\n")
    assert "too late" in caplog.text


def starting_twice(environ: dict[str, Any], start_response: Start) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return [b"a"]


@pytest.mark.parametrize(
    "application",
    [
        lambda environ, start_response: [b"no start_response"],
        lambda environ, start_response: None,
        returning(["text"]),
        returning(lambda: iter(["text"])),
        returning([1]),
        returning("text"),
        returning([b"a"], "200"),
        returning([b"a"], headers=[("A", "b\r\nC: d")]),
        returning([b"a"], headers=[("Connection", "close")]),
        lambda environ, start_response: [
            start_response("200 OK", []),
            start_response("200 OK", []),
        ],
    ],
)
def test_broken_applications(
    serve: Serve, caplog: pytest.LogCaptureFixture, application: Any
) -> None:
    client = serve(application, threads=1)
    for _ in range(2):
        answer = client.get()
        assert answer.status == 500
        assert "C" not in answer
    assert "the application failed" in caplog.text


def test_one_traceback_of_a_kind_is_logged_a_minute(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise LookupError(f"nothing at\n{environ['PATH_INFO']}")

    client = serve(application)
    for number in range(5):
        assert client.get(f"/{number}").status == 500
    client.stop()
    failed = [each for each in caplog.records if "the application failed" in each.getMessage()]
    assert [bool(each.exc_info) for each in failed] == [True] + [False] * 4
    assert (
        failed[4]
        .getMessage()
        .startswith("GET /4: the application failed: LookupError: nothing at (/")
    )


def test_a_body_longer_than_promised_is_cut(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    for result in ([b"hello"], lambda: iter([b"he", b"llo"]), lambda: iter([b"hello"])):
        client = serve(returning(result, headers=[("Content-Length", "3")]))
        stream = client.open()
        for _ in range(2):
            stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert stream.answer().body == b"hel"
        client.stop()
    assert caplog.text.count("longer than its Content-Length") == 6


def test_iteration_ends_with_the_promised_length(serve: Serve) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"abc"

    closing = Closing(endless())
    stream = serve(returning(closing, headers=[("Content-Length", "6")])).open()
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert stream.answer().body == b"abcabc"
    assert closing.closed.wait(30)


def test_writing_more_than_promised_raises(serve: Serve) -> None:
    raised = threading.Event()

    def application(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "3")])
        write(b"ab")
        try:
            write(b"cd")
        except ApplicationError:
            raised.set()
        return []

    assert serve(application).get().body == b"abc"
    assert raised.wait(30)


def test_no_length_with_a_status_that_excludes_it(serve: Serve) -> None:
    client = serve(returning([], "204 No Content", [("Content-Length", "0")]))
    answer = client.get()
    assert (answer.status, "Content-Length" in answer) == (204, False)
    client = serve(returning([]))
    assert "Content-Length" not in client.get(method="HEAD")
    client = serve(returning([], headers=[("Content-Length", "7")]))
    assert client.get(method="HEAD")["Content-Length"] == "7"


def test_a_body_shorter_than_promised_closes(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    for result in ([b"hello"], lambda: iter([b"he", b"llo"]), []):
        stream = serve(returning(result, headers=[("Content-Length", "9")])).open()
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        rest = stream.rest()
        assert rest.count(b"HTTP/1.1 200") == 1
        assert rest.endswith(b"\r\n\r\n" + (b"hello" if result else b""))
    assert caplog.text.count("shorter than its Content-Length") == 3


def serving_file(path: Path, headers: list[tuple[str, str]], skip: int = 0) -> Any:
    def application(environ: dict[str, Any], start_response: Start) -> Any:
        start_response("200 OK", headers)
        file = path.open("rb")
        file.seek(skip)
        return environ["wsgi.file_wrapper"](file)

    return application


def test_files(serve: Serve, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    path = tmp_path / "file"
    path.write_bytes(data)
    answer = serve(serving_file(path, [])).get()
    assert answer["Content-Length"] == str(len(data))
    assert answer.body == data
    client = serve(serving_file(path, [("Content-Length", "1000")], skip=7))
    stream = client.open()
    stream.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    assert stream.answer("HEAD")["Content-Length"] == "1000"
    assert [stream.answer().body for _ in range(2)] == [data[7:1007]] * 2


def test_objects_that_only_look_like_files(serve: Serve) -> None:
    def application(environ: dict[str, Any], start_response: Start) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"abc" * 100), 7)

    assert serve(application).get().body == b"abc" * 100


def test_a_compressed_file_is_sent_as_it_reads(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"plain text " * 1000)

    def application(environ: dict[str, Any], start_response: Start) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](gzip.open(path, "rb"))

    assert serve(application).get().body == b"plain text " * 1000


def test_an_empty_file(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert serve(serving_file(path, [])).get().body == b""


# -- what needs no thread once it is made ----------------------------------------------------------

MIB = bytes(range(256)) * 4096
SIZED = [("Content-Length", str(5 * len(MIB)))]


def last_part() -> Iterator[bytes]:
    """The part that completes Content-Length is the last, so the rest is in memory then."""
    yield MIB[:10]
    yield MIB[10:] + 4 * MIB


IN_MEMORY = {
    "one part": ([5 * MIB], PLAIN),
    "a list": ([MIB] * 5, PLAIN),
    "a tuple": ((MIB,) * 5, PLAIN),
    "a list with its length": ([MIB] * 5, SIZED),
    "a last part": (last_part, SIZED),
}


@pytest.mark.parametrize(("result", "headers"), IN_MEMORY.values(), ids=IN_MEMORY)
def test_a_response_in_memory_needs_no_thread(serve: Serve, result: Any, headers: Any) -> None:
    """The application has finished (PEP 3333) before the client has received everything."""
    ended = threading.Event()
    body = returning(result, headers=headers)

    class Ends:
        """An iterable without a length, whose type the server does not know."""

        def __init__(self, parts: Any) -> None:
            self.parts = parts

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.parts)

        def close(self) -> None:
            ended.set()

    def application(environ: dict[str, Any], start_response: Start) -> Any:
        if environ["PATH_INFO"] != "/large":
            start_response("200 OK", PLAIN)
            return [b"small"]
        made = body(environ, start_response)
        return Ends(made) if callable(result) else made

    # One thread, and none in its place: whatever waits for the client keeps others waiting.
    server = {"max_stalled": 0}
    client = serve(application, threads=1, narrow=True, server=server)
    slow = client.open(receive_buffer=16 * 1024)
    slow.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.get("/").body == b"small"
    if callable(result):
        assert ended.is_set()
    statistics = client.server.statistics()
    assert (statistics.stalled, statistics.connections["sending"]) == (0, 1)
    assert 4 * len(MIB) < statistics.held < 7 * len(MIB)
    assert slow.answer().body == 5 * MIB
    assert slow.answer().body == b"small"


def test_a_response_that_is_being_generated_needs_a_thread(serve: Serve) -> None:
    made = [0]

    def parts() -> Iterator[bytes]:
        for _ in range(5):
            made[0] += 1
            yield MIB

    client = serve(returning(parts), threads=1, narrow=True)
    slow = client.open(receive_buffer=16 * 1024)
    slow.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: client.server.statistics().stalled == 1)
    assert made[0] < 5
    assert slow.answer().body == 5 * MIB


def test_a_response_in_memory_that_is_never_received_is_cut_and_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "access")
    log = AccessLog(logging.getLogger("access"))
    client = serve(returning([5 * MIB]), narrow=True, access_log=log, timeouts=Timeouts(stall=0.3))
    slow = client.open(receive_buffer=16 * 1024)
    slow.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: client.server.statistics().closes == {"response taken too slowly": 1})
    assert client.server.statistics().held == 0
    client.stop()
    log.close()
    (line,) = [each.getMessage() for each in caplog.records if each.name == "access"]
    assert f'" 200 {5 * len(MIB)} ' in line  # as it is for files, which need no thread either


def eventually(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)

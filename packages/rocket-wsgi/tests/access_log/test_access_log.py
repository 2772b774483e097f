from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conftest import Serve
from rocket_core import TCPAddress, Timeouts
from rocket_core.testing import eventually
from rocket_wsgi import AccessLog
from rocket_wsgi._access_log.sink import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from served import Served

Environ = dict[str, Any]


def hello(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def objects(client: Served, log: AccessLog, path: Path) -> list[dict[str, Any]]:
    """Stop the server, and return all logged objects."""
    client.stop()
    log.close()
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def test_combined(serve: Serve, path: Path) -> None:
    log = AccessLog(path)
    client = serve(hello, access_log=log)
    stream = client.open()
    stream.send(
        b"GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nReferer: http://r/\r\n"
        b"Connection: close\r\n\r\n"
    )
    stream.read_all()
    client.stop()
    log.close()
    pattern = (
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\?b HTTP/1\.1" '
        r'200 5 "http://r/" "me" \d+\n'
    )
    assert re.fullmatch(pattern, path.read_text())


def test_json(serve: Serve, path: Path) -> None:
    log = AccessLog(path, "json")
    client = serve(hello, access_log=log)
    stream = client.open()
    for _ in range(2):
        stream.send(b'GET /a?b HTTP/1.1\r\nHost: h:1\r\nUser-Agent: "\xff"\r\n\r\n')
        stream.answer()
    first, second = objects(client, log, path)
    assert (
        first.items()
        >= {
            "client": "127.0.0.1",
            "user": None,
            "method": "GET",
            "target": "/a?b",
            "protocol": "HTTP/1.1",
            "status": 200,
            "size": 5,
            "scheme": "http",
            "host": "h:1",
            "referer": None,
            "agent": '"\xff"',
            "requests": 1,
            "error": None,
        }.items()
    )
    assert second["requests"] == 2
    assert first["seconds"] >= 0
    assert first["queued"] >= 0


def test_thread(serve: Serve, path: Path) -> None:
    log = AccessLog(path, "json:thread")
    names: list[str] = []

    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        names.append(threading.current_thread().name)
        return hello(environ, start_response)

    client = serve(application, access_log=log)
    client.get()
    assert objects(client, log, path) == [{"thread": names[0]}]


def test_the_application_can_change_only_the_logged_user(serve: Serve, path: Path) -> None:
    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        environ.clear()
        environ["REMOTE_USER"] = "eve\n"
        environ["HTTP_USER_AGENT"] = "other"
        return hello(environ, start_response)

    log = AccessLog(path, "json:client,user,agent,path")
    client = serve(application, access_log=log)
    client.exchange(b"GET /a%20b?c HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n\r\n")
    assert objects(client, log, path) == [
        {"client": "127.0.0.1", "user": "eve\n", "agent": "me", "path": "/a b"}
    ]


@pytest.mark.parametrize(
    ("data", "logged", "error"),
    [
        (b"nonsense\r\n\r\n", (400, "nonsense"), "method, target"),
        (b"GET /x HTTP/1.1\r\n\r\n", (400, "GET /x HTTP/1.1"), "Host"),
        (b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", (400, "GET /\x01 HTTP/1.1"), "control"),
        (
            b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
            (413, "PUT /x HTTP/1.1"),
            "too long",
        ),
    ],
)
def test_refused_requests(
    serve: Serve, path: Path, data: bytes, logged: tuple[int, str], error: str
) -> None:
    log = AccessLog(path, "json:client,line,status,size,error,requests")
    client = serve(hello, access_log=log, max_body=8)
    answer = client.exchange(data)
    (entry,) = objects(client, log, path)
    assert error in entry.pop("error")
    assert entry == {
        "client": "127.0.0.1",
        "line": logged[1],
        "status": logged[0],
        "size": len(answer.body),
        "requests": 0,
    }
    assert answer.status == logged[0]


def test_request_that_does_not_arrive(serve: Serve, path: Path) -> None:
    log = AccessLog(path, "{client} {method} {line} {status}")
    client = serve(hello, access_log=log, timeouts=Timeouts(head=0.05))
    stream = client.open()
    stream.send(b"GET /slow")
    assert stream.answer().status == 408
    client.stop()
    log.close()
    assert path.read_text() == "127.0.0.1 - GET\\x20/slow 408\n"


def test_request_that_waits_too_long_or_whose_client_leaves(serve: Serve, path: Path) -> None:
    """The first is answered 503; the second gets no answer."""
    entered, go_on = threading.Event(), threading.Event()

    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        entered.set()
        go_on.wait(30)
        return hello(environ, start_response)

    log = AccessLog(path, "json:target,status,error")
    client = serve(application, access_log=log, threads=1, server={"max_queue": 0})
    slow = client.open()  # the first client, so that its request finds the worker idle
    slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert entered.wait(30)
    left = client.open()
    left.send(b"PUT /left HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")
    eventually(lambda: client.server.statistics().connections.get("body"))
    left.close()
    eventually(lambda: client.server.statistics().closes.get("client closed"))
    assert client.get("/busy").status == 503
    go_on.set()
    slow.answer()
    found = objects(client, log, path)
    assert {each["target"]: each["status"] for each in found} == {
        "/left": None,
        "/busy": 503,
        "/slow": 200,
    }
    assert {each["error"] for each in found} >= {"client closed", None}


def test_failed_application(serve: Serve, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("broken")

    log = AccessLog(path, "json:status,size,error")
    client = serve(application, access_log=log)
    body = client.get().body
    assert objects(client, log, path) == [
        {"status": 500, "size": len(body), "error": "the application failed"}
    ]


def test_queue_time_of_a_pipelined_request_begins_after_the_request_before(
    serve: Serve, path: Path
) -> None:
    released: list[float] = []

    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/first":
            began = time.monotonic()
            while time.monotonic() - began < 0.2:
                time.sleep(0.01)
            released.append(time.monotonic() - began)
        return hello(environ, start_response)

    log = AccessLog(path, "json:queued,seconds")
    client = serve(application, access_log=log)
    stream = client.open()
    stream.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    stream.answer()
    stream.answer()
    first, second = objects(client, log, path)
    assert first["seconds"] >= 0.2
    assert second["queued"] < released[0]


# -- sinks -------------------------------------------------------------------------------------


def test_stream(serve: Serve) -> None:
    stream = io.StringIO()
    with AccessLog(stream, "{method} {status}") as log:
        client = serve(hello, access_log=log)
        client.get()
        client.stop()
    assert stream.getvalue() == "GET 200\n"


def test_logger(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "test.access")
    with AccessLog(logging.getLogger("test.access"), "{target} {status}") as log:
        client = serve(hello, access_log=log)
        client.get("/100%")
        client.stop()
    assert caplog.record_tuples == [("test.access", logging.INFO, "/100% 200")]


def test_invalid_sinks(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="path, a text stream or a logger, not 7"):
        AccessLog(7)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        AccessLog(tmp_path / "missing" / "access.log")
    with pytest.raises(ValueError, match="max_lines"):
        AccessLog(tmp_path / "access.log", max_lines=0)


def test_file_is_appended_to_and_reopened(serve: Serve, path: Path) -> None:
    path.write_text("before\n")
    log = AccessLog(str(path), "{target}")
    client = serve(hello, access_log=log)
    client.get("/1")
    client.server.stop()
    assert client.server.wait(30)
    old = path.with_suffix(".1")
    path.rename(old)
    log.reopen()
    assert log.flush(30)
    client.server.start()
    address = client.server.listeners[0].address
    assert isinstance(address, TCPAddress)
    client.address = address
    client.get("/2")
    client.stop()
    log.close()
    assert old.read_text() == "before\n/1\n"
    assert path.read_text() == "/2\n"


def test_failed_reopening_keeps_the_old_file(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    log = AccessLog(folder / "access.log", "{target}")
    client = serve(hello, access_log=log)
    folder.rename(tmp_path / "moved")
    log.reopen()
    client.get("/1")
    client.stop()
    log.close()
    assert (tmp_path / "moved" / "access.log").read_text() == "/1\n"
    assert "stays in its old file" in caplog.text


def test_no_thread_before_the_first_request(path: Path) -> None:
    with AccessLog(path) as log:
        log.reopen()
        assert log.flush()
        names = [thread.name for thread in threading.enumerate()]
        assert "rocket-access-log" not in names
    assert path.read_text() == ""


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A full pipe: the descriptor of its reading end, and a stream to its writing end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"\n" * 4096)
    os.set_blocking(writer, True)
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
        os.close(reader)


def test_a_blocked_sink_does_not_stop_the_server(
    serve: Serve, pipe: tuple[int, io.TextIOWrapper], caplog: pytest.LogCaptureFixture
) -> None:
    reader, stream = pipe
    log = AccessLog(stream, "{target}", max_lines=5)
    # With one thread, because the client gets its answer before the line is queued.
    client = serve(hello, access_log=log, threads=1)
    for number in range(20):
        assert client.get(f"/{number}").status == 200  # more than max_lines
    client.stop()
    assert not log.flush(0.01)
    received = bytearray()
    while b"/" not in received:
        received += os.read(reader, 65536)
    log.close(30)
    os.set_blocking(reader, False)
    while True:
        try:
            received += os.read(reader, 65536)
        except BlockingIOError:
            break
    lines = received.decode().split()
    kept = len(lines)  # the waiting lines, and those that the writer had taken
    assert 5 <= kept < 20
    assert lines == [f"/{number}" for number in range(kept)]
    reports = [each.getMessage() for each in caplog.records if "were lost" in each.message]
    lost = sum(int(each.split()[0]) for each in reports)
    assert lost == 20 - kept
    assert log.lost == lost
    assert 1 <= len(reports) <= 2


def test_closing_does_not_wait_without_a_limit(
    serve: Serve, pipe: tuple[int, io.TextIOWrapper], caplog: pytest.LogCaptureFixture
) -> None:
    reader, stream = pipe
    log = AccessLog(stream, "{target}")
    client = serve(hello, access_log=log)
    client.get("/")
    client.stop()
    log.close(0.05)
    assert os.read(reader, 4096)
    while b"/" not in os.read(reader, 65536):
        pass


def test_a_failing_sink_causes_a_warning(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    log = AccessLog("/dev/full")
    client = serve(hello, access_log=log)
    client.get()
    client.get()
    client.stop()
    log.close()
    messages = [each.getMessage() for each in caplog.records]
    lost = [each for each in messages if "were lost" in each]
    assert sum(int(each.split()[0]) for each in lost) == 2
    assert log.lost == 2
    assert "No space left" in lost[0]


def test_a_partial_line_does_not_spoil_the_next_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full in the middle of a line, and later it has space again."""
    write = os.write
    left = [8]

    def write_some(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(descriptor, data[: left[0]])
        left[0] -= count
        return count

    sink = FileSink(path)
    monkeypatch.setattr(os, "write", write_some)
    for lines in (["one", "other"], ["lost"]):
        with pytest.raises(OSError, match="No space left"):
            sink.write(lines)
    left[0] = 100
    sink.write(["third"])
    sink.write(["fourth"])
    sink.close()
    assert path.read_text().splitlines() == ["one", "othe", "third", "fourth"]


def test_the_writing_thread_cannot_start(
    serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests are served nevertheless, and the kept lines are written once a thread can start."""
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if thread.name.startswith("rocket-access-log"):
            raise RuntimeError("can't start new thread")
        start(thread)

    log = AccessLog(path, "{target}", max_lines=3)
    client = serve(hello, access_log=log)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for number in range(4):
            assert client.get(f"/{number}").status == 200
        client.stop()
    log.close()
    assert len(path.read_text().splitlines()) == 3  # the fourth line exceeded max_lines
    assert "1 lines of the access log were lost" in caplog.text

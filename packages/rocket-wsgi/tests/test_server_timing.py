"""Clients are told for how long their requests waited for a thread."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Serve

Environ = dict[str, Any]


def plain(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    del environ
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


def milliseconds(field: str | None) -> float:
    match = re.fullmatch(r"queue;dur=(\d+\.\d{3})", field or "")
    assert match is not None, field
    return float(match[1])


def test_time_in_the_queue(serve: Serve) -> None:
    entered, leave = threading.Event(), threading.Event()
    queued: list[float] = []

    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/hold":
            entered.set()
            assert leave.wait(PATIENCE)
        queued.append(environ["rocket.queue_time"])
        return plain(environ, start_response)

    client = serve(application, threads=1, server_timing=True)
    first, second = client.open(), client.open()
    first.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    assert entered.wait(PATIENCE)
    second.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: client.server.statistics().ready == 1)
    leave.set()
    times = [milliseconds(each.answer()["Server-Timing"]) for each in (first, second)]
    assert times == [pytest.approx(seconds * 1000, abs=0.001) for seconds in queued]
    assert times[1] > 0


def test_over_http2(serve: Serve) -> None:
    served = serve(plain, server_timing=True, h2c=True)
    with HTTP2Client(served.address) as client:
        assert milliseconds(client.get("/")["server-timing"]) >= 0


def test_field_of_the_application_is_sent_as_well(serve: Serve) -> None:
    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("server-timing", "db;dur=53")])
        return [b"ok"]

    client = serve(application, server_timing=True).open()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head = client.read_all().lower()
    assert b"\r\nserver-timing: db;dur=53\r\n" in head
    assert b"\r\nserver-timing: queue;dur=" in head


def test_static_files_and_failures(serve: Serve, tmp_path: Path) -> None:
    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError

    (tmp_path / "a.txt").write_text("a")
    client = serve(application, server_timing=True, static={"/static": StaticFiles(tmp_path)})
    for path, status in (("/static/a.txt", 200), ("/", 500)):
        answer = client.get(path)
        assert answer.status == status
        assert milliseconds(answer["Server-Timing"]) >= 0


def test_none_without_the_setting_or_a_thread(serve: Serve) -> None:
    assert "Server-Timing" not in serve(plain).get()
    client = serve(plain, server_timing=True, health="/healthz")
    assert "Server-Timing" not in client.get("/healthz")

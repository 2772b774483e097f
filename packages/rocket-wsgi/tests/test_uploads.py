"""Large bodies, and what all of them together may take."""

from __future__ import annotations

import errno
import logging
import os
import select
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import Serve
from rocket_core import Timeouts
from rocket_core._connection import disk_budget
from rocket_core._connection.transfer import MINUTE
from rocket_core.testing import Client, eventually

Start = Callable[..., Callable[[bytes], None]]

MEGABYTE = 1 << 20
PIECE = bytes(64 * 1024)
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\n"
LARGE = b"Content-Length: %d\r\n\r\n" % (4 * MEGABYTE)
ENDLESS = b"Transfer-Encoding: chunked\r\n\r\nf00000\r\n"
"""A chunk that nothing sent here completes."""
FILED = 2 * MEGABYTE
"""The size of a body that goes to a file, because it is too large for the budget of memory."""


def count(environ: dict[str, Any], start_response: Start) -> list[bytes]:
    start_response("200 OK", [])
    return [str(len(environ["wsgi.input"].read())).encode()]


def pour(sock: socket.socket, size: int) -> int:
    """Send up to ``size`` bytes; how many the server took before it answered."""
    sent = 0
    while sent < size:
        try:
            sent += sock.send(PIECE)
        except OSError:
            break
    return sent


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_uploads_beyond_the_total_make_room_for_others(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(count, server={"max_spool": 16 * MEGABYTE})
    disk = client.server._server_state.disk
    greedy = [client.open() for _ in range(3)]
    for stream in greedy:
        stream.send(PUT + ENDLESS)
        pour(stream.socket, 5 * MEGABYTE)
    eventually(lambda: disk.held >= 15 * MEGABYTE)
    for _ in range(3):
        honest = client.open()
        honest.send(PUT + LARGE)
        honest.send(bytes(4 * MEGABYTE))
        answer = honest.answer()
        assert (answer.status, answer.body) == (200, b"%d" % (4 * MEGABYTE))
    cut = 3 - len(disk._arriving)
    assert cut
    for stream in greedy:
        stream.send(b"x")
    closes = client.server.statistics
    eventually(lambda: closes().connections.get("linger", 0) + len(closes().closes) >= 1)
    for stream in greedy:
        stream.close()
    eventually(lambda: disk.held == 0)
    (warning,) = warnings(caplog)
    assert warning.startswith("uploads use ")
    assert "at most 16 MiB (max_spool)" in warning


def test_one_that_was_cut_is_answered(serve: Serve) -> None:
    client = serve(count, server={"max_spool": 16 * MEGABYTE})
    disk = client.server._server_state.disk
    slow, other = client.open(), client.open()
    slow.send(PUT + ENDLESS)
    pour(slow.socket, FILED)
    eventually(lambda: disk.held >= MEGABYTE)
    for spool in list(disk._arriving):
        spool.cut()
    assert disk.held == 0
    slow.send(b"x")
    answer = slow.answer()
    assert (answer.status, answer["Retry-After"]) == (503, "30")
    other.send(PUT + b"Content-Length: %d\r\n\r\n" % FILED + bytes(FILED))
    assert other.answer().body == b"%d" % FILED


@pytest.mark.parametrize("expect", [b"Expect: 100-continue\r\n", b""])
def test_what_finds_no_room_is_refused_before_it_is_sent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, expect: bytes
) -> None:
    _fill(monkeypatch, free=50 * MEGABYTE)
    client = serve(count, server={"spool_free": 48 * MEGABYTE})
    for _ in range(5):
        stream = client.open()
        stream.send(PUT + expect + LARGE)
        answer = stream.answer()
        assert (answer.status, answer["Retry-After"]) == (503, "30")
    assert len(warnings(caplog)) == 1
    assert "leave 48 MiB free" in warnings(caplog)[0]
    stream = client.open()
    size = MEGABYTE + 1  # to a file, and within the 2 MiB that are free for uploads
    stream.send(PUT + b"Content-Length: %d\r\n\r\n" % size + bytes(size))
    assert stream.answer().body == b"%d" % size


def test_one_longer_than_the_total_is_refused_for_good(serve: Serve) -> None:
    client = serve(count, server={"max_spool": MEGABYTE})
    stream = client.open()
    stream.send(PUT + LARGE)
    assert stream.answer().status == 413
    stream = client.open()
    stream.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n100001\r\n")
    assert stream.answer().status == 413


def _fill(monkeypatch: pytest.MonkeyPatch, *, free: int) -> None:
    usage = SimpleNamespace(total=1 << 34, used=0, free=free)
    shutil_like = SimpleNamespace(disk_usage=lambda _: usage)
    monkeypatch.setattr(disk_budget, "shutil", shutil_like)


def test_a_full_disk_is_one_line_a_minute_and_no_failure(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _fill(monkeypatch, free=0)
    client = serve(count)
    for _ in range(5):
        stream = client.open()
        stream.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % FILED)
        pour(stream.socket, FILED)
        answer = stream.answer()
        assert (answer.status, answer["Retry-After"]) == (503, "30")
    assert len(warnings(caplog)) == 1
    assert not any(each.exc_info for each in caplog.records)
    small = client.open()
    small.send(PUT + b"Content-Length: 60000\r\n\r\n" + bytes(60_000))
    assert small.answer().body == b"60000"


@pytest.mark.parametrize("error", ["ENOSPC", "EMFILE"])
def test_what_cannot_be_kept_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    number = getattr(errno, error)

    def fail(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    client = serve(count)
    for _ in range(3):
        stream = client.open()
        stream.send(PUT + b"Content-Length: %d\r\n\r\n" % FILED)
        pour(stream.socket, FILED)
        assert stream.answer().status == 503
    assert warnings(caplog) == [
        f"an upload is refused: cannot keep it in a file: {os.strerror(number)}"
    ]


@pytest.fixture
def vanished(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for temporary files that is gone."""
    directory = Path(tempfile.mkdtemp())
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    directory.rmdir()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def test_a_vanished_directory_for_temporary_files(
    serve: Serve, vanished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(count)

    def upload() -> None:
        stream = client.open()
        stream.send(PUT + LARGE + bytes(4 * MEGABYTE))
        assert stream.answer().body == b"%d" % (4 * MEGABYTE)

    for _ in range(3):
        upload()
    (warning,) = warnings(caplog)
    assert str(vanished) in warning
    assert warning.endswith("this one is kept in /tmp")
    vanished.mkdir()
    upload()  # there again
    assert len(warnings(caplog)) == 1


def test_a_burst_does_not_buy_time(serve: Serve) -> None:
    client = serve(count, timeouts=Timeouts(grace=MINUTE, minimum_rate=1000))
    stream = client.open()
    stream.send(PUT + ENDLESS)
    eventually(lambda: client.server.statistics().connections == {"body": 1})
    (connection,) = client.server._registry.snapshot()
    transfer = connection._transfer
    assert transfer is not None
    assert pour(stream.socket, 8 * MEGABYTE) == 8 * MEGABYTE  # as in 8000 s, at the minimum rate
    eventually(lambda: transfer.moved == 8 * MEGABYTE)
    transfer._ends -= MINUTE  # as if that had been a minute ago
    transfer._grace_ends -= MINUTE
    trickle(stream)


def trickle(stream: Client) -> None:
    """Send a byte now and then, until the server answers 408."""

    def answered() -> bool:
        stream.send(b"x")
        return bool(select.select([stream.socket], [], [], 0.05)[0])

    eventually(answered)
    assert stream.answer().status == 408

"""The destination and the format of the access log."""

from __future__ import annotations

import io
import json
import os
import pty
import re
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from choosing import choose
from conftest import HELLO, Write
from processes import Served
from rocket_cli._errors import CommandError
from rocket_cli._serving.access_log import Terminal, open_access_log
from rocket_core.testing import PATIENCE


def entry(**fields: object) -> str:
    usual = {
        "time": "2026-11-25T10:11:45.078+00:00",
        "client": "127.0.0.1",
        "method": "GET",
        "target": "/",
        "status": 200,
        "size": 5,
        "seconds": 0.0012,
        "error": None,
        "messages_received": None,
        "messages_sent": None,
        "close_code": None,
    }
    return json.dumps({**usual, **fields}) + "\n"


def on_terminal(*lines: str, colours: bool = False) -> str:
    stream = io.StringIO()
    Terminal(stream, colours=colours).write("".join(lines))
    return stream.getvalue()


def test_line_for_reading() -> None:
    assert on_terminal(entry(), entry(size=1234567, seconds=2.5, target="/a?b")) == (
        "2026-11-25T10:11:45.078+00:00 200 GET / 5 B in 1.20 ms to 127.0.0.1\n"
        "2026-11-25T10:11:45.078+00:00 200 GET /a?b 1.18 MiB in 2.50 s to 127.0.0.1\n"
    )


def test_line_of_a_websocket_and_of_an_event_stream() -> None:
    messages = {"messages_received": 1234, "messages_sent": 5, "seconds": 65.0}
    assert on_terminal(
        entry(**messages, status=101, close_code=1000), entry(**messages, error="stopped")
    ) == (
        "2026-11-25T10:11:45.078+00:00 101 GET / 5 B in 65.0 s to 127.0.0.1, 5 messages sent, "
        "1,234 received, closed with 1000\n"
        "2026-11-25T10:11:45.078+00:00 200 GET / 5 B in 65.0 s to 127.0.0.1, 5 messages sent, "
        "1,234 received stopped\n"
    )


def test_line_of_an_invalid_request() -> None:
    line = on_terminal(
        entry(method=None, target=None, status=None, client=None, error="no request line")
    )
    assert line == "2026-11-25T10:11:45.078+00:00 --- - - 5 B in 1.20 ms to - no request line\n"


@pytest.mark.parametrize(
    ("status", "colour"), [(204, 32), (304, 36), (404, 33), (503, 31), (None, 31)]
)
def test_colour_of_the_status(status: int | None, colour: int) -> None:
    assert f"\x1b[{colour}m{status or '---'}\x1b[0m" in on_terminal(
        entry(status=status), colours=True
    )


@given(st.text(), st.text(), st.text())
def test_input_forges_no_line(target: str, method: str, error: str) -> None:
    line = on_terminal(entry(target=target, method=method, error=error))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def output_of(directory: Path, *options: str) -> str:
    """Return what one request writes to standard output."""
    with (
        Served(directory, "--bind", "127.0.0.1:0", "--access-log", "-", *options) as served,
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
    ):
        client.get(served.location())
        return served.stop()


def test_format_follows_that_of_the_messages(tmp_path: Path, write: Write) -> None:
    write("app.py", HELLO.format("app"))
    assert '"GET / HTTP/1.1" 200 5 ' in output_of(tmp_path)
    assert output_of(tmp_path, "--access-log-format", "{status}") == "200\n"


def test_json_of_both_logs(tmp_path: Path, write: Write) -> None:
    """With log-format json, every line of both logs is an object, including the banner."""
    write("app.py", HELLO.format("app"))
    options = ["--bind", "127.0.0.1:0", "--access-log", "-", "--log-format", "json"]
    with (
        Served(tmp_path, *options) as served,
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
    ):
        client.get(served.wait_for(r'"Listening on (http:[^"]*)"')[1])
        output = served.stop()
    assert json.loads(output)["status"] == 200
    assert {json.loads(line)["logger"] for line in served.said} == {"rocket_cli"}


def test_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the format is human-readable, unless a format is set."""
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb", buffering=0) as screen, os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        for options in ([], ["--access-log-format", "combined"], ["--log-format", "json"]):
            log = open_access_log(choose("--access-log", "-", *options))
            assert log is not None
            log.refused(FakeConnection(), None, 400, reason="no request")  # type: ignore[arg-type]
            log.close()
        lines = b""
        while lines.count(b"\n") < 3:
            lines += screen.read(4096)
    first, second, third = (
        re.sub("\x1b\\[[0-9]*m", "", line) for line in lines.decode().splitlines()
    )
    assert re.search(r"^2\S+ 400 - - 0 B in 0 µs to 192\.0\.2\.1 no request$", first)
    assert second.startswith("192.0.2.1 - - [")
    assert json.loads(third)["status"] == 400


class FakePeer:
    host = "192.0.2.1"


class FakeConnection:
    requests = 0
    peer = FakePeer()


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = str(tmp_path / "missing/access.log")
    with pytest.raises(CommandError) as caught:
        open_access_log(choose("--access-log", path))
    assert f"--access-log {path!r}" in str(caught.value)

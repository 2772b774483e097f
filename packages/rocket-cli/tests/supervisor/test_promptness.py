"""The command obeys signals while its workers serve as fast as they can.

A thread that runs compiled code gives the interpreter away less often than one that runs byte code.
"""

from __future__ import annotations

import signal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from conftest import Write
from processes import Served
from rocket_core import TCPAddress
from rocket_core.testing import Load, eventually

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

APPLICATION = """
    import os

    def work():
        {}

    def app(environ, start_response):
        work()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(os.getpid()).encode()]
"""


@pytest.fixture(params=["pass", "sum(each for each in range(50_000))", "sum(range(300_000))"])
def site(request: pytest.FixtureRequest, tmp_path: Path, write: Write) -> Path:
    """An application that answers at once, after some byte code, or after an undivided call."""
    write("computing.py", APPLICATION.format(request.param))
    return tmp_path


def loaded(url: str) -> Load:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Load(TCPAddress(parts.hostname, parts.port), GET)


ARGUMENTS = ["--bind", "127.0.0.1:0", "--threads", "4", "--graceful-timeout", "60", "computing"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_signal_that_ends_the_command_is_obeyed(site: Path, number: signal.Signals) -> None:
    with Served(site, *ARGUMENTS) as served, loaded(served.location()) as load:
        load.go_on()
        served.send(number)
        code, _ = served.wait()
    assert code == 0, served.said
    assert not [line for line in served.said if "timeout reached" in line]


def test_reload_is_carried_out(site: Path, client: httpx.Client) -> None:
    with Served(site, *ARGUMENTS) as served:
        url = served.location()
        with loaded(url) as load:
            load.go_on()
            before = client.get(url).text
            served.send(signal.SIGHUP)
            eventually(lambda: client.get(url).text != before)
            eventually(lambda: len(served.workers()) == 1)
            load.go_on()
        served.stop()
    assert not [line for line in served.said if "timeout reached" in line]

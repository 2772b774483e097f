"""Processes that the application forks."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from conftest import Write
from processes import Served
from rocket_core.testing import listening

APPLICATION = """
import os, signal

def fork():
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    with open("children", "a") as file:
        file.write(f"{{child}}\\n")

{}

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fork":
        fork()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


@pytest.mark.parametrize(
    ("at_import", "options"),
    [("", []), ("fork()", []), ("fork()", ["--preload"])],
    ids=["request", "import", "preload"],
)
def test_address_is_free_though_a_child_lives(
    write: Write, client: httpx.Client, at_import: str, options: list[str]
) -> None:
    directory = write("app.py", APPLICATION.format(at_import)).parent
    try:
        with Served(directory, "--bind", "127.0.0.1:0", *options, "app") as served:
            url = served.location()
            port = httpx.URL(url).port or 0
            sockets = listening(port)
            assert sockets
            assert client.get(f"{url}/fork").text == "hello"
            served.send(signal.SIGTERM)
            served.wait_for("stopped$")
            # Another process may have the port by now: these sockets must not listen any more.
            assert not sockets & listening(port)
            _end_children(directory)
    finally:
        _end_children(directory)


def _end_children(directory: Path) -> None:
    for line in (directory / "children").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(line), signal.SIGKILL)

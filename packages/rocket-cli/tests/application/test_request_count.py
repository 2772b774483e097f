"""The replacement of processes after a number of requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from conftest import VERSION, Write
from processes import Served
from rocket_cli._application.request_count import counted
from rocket_core.testing import PATIENCE, eventually

ANY = ["--bind", "127.0.0.1:0"]

ECHO = """
    import os, sys

    class Echo:
        def on_message(self, ws, data):
            ws.send(data)

    def app(environ, start_response):
        print("a request", file=sys.stderr, flush=True)
        offer = environ.get("rocket.websocket")
        if offer is not None:
            offer.accept(Echo())
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("jitter", [0, 5])
def test_limit_is_reached_once(jitter: int) -> None:
    called: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        called.append("application")
        return []

    limited = counted(application, 3, jitter, lambda: called.append("reached"))
    for _ in range(20):
        limited({}, lambda *_: lambda _: None)
    assert called.count("application") == 20
    assert called.count("reached") == 1
    assert 2 <= called.index("reached") <= 2 + jitter


def test_process_is_replaced_after_so_many_requests(
    tmp_path: Path, write: Write, client: httpx.Client
) -> None:
    write("app.py", VERSION.format("one"))
    with Served(tmp_path, *ANY, "--max-requests", "5", "--max-requests-jitter", "2") as served:
        url = served.location()
        (first,) = served.workers()

        def replaced() -> bool:
            return client.get(url).text.split()[1] != str(first)

        eventually(replaced)
        eventually(lambda: first not in served.workers())
        served.stop()
    assert any(
        f"worker {first} has reached --max-requests: replacing it" in line for line in served.said
    )


def test_messages_of_websockets_are_no_requests(
    tmp_path: Path, write: Write, client: httpx.Client
) -> None:
    write("app.py", ECHO)
    with Served(
        tmp_path, *ANY, "--max-requests", "3", "--max-requests-jitter", "0", "app"
    ) as served:
        url = served.location()
        (first,) = served.workers()
        with connect(f"ws{url.removeprefix('http')}", proxy=None) as socket:
            for _ in range(50):
                socket.send("x")
                assert socket.recv(PATIENCE) == "x"
            assert [client.get(url).text for _ in range(2)] == [str(first)] * 2
            served.wait_for(f"worker {first} has reached --max-requests: replacing it")
            # The last request is counted before the application is called.
            assert served.said.count("a request") >= 2
        served.stop()

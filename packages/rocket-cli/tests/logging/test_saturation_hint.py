from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from conftest import Write
from processes import Served

APPLICATION = """
import threading
from rocket_core._server import saturation_watch
saturation_watch._PATIENCE = 0.1
leave = threading.Event()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/leave":
        leave.set()
    assert leave.wait(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@pytest.mark.parametrize("admin", [True, False])
def test_warning_names_the_command_that_shows_the_threads(
    write: Write, tmp_path: Path, *, admin: bool
) -> None:
    directory = write("app.py", APPLICATION).parent
    options = ("--admin", str(tmp_path / "admin.sock")) if admin else ()
    with (
        Served(
            directory,
            "--bind",
            "127.0.0.1:0",
            "--threads",
            "2",
            "--reserved",
            "/leave",
            *options,
            "app",
        ) as served,
        ThreadPoolExecutor(3) as threads,
    ):
        url = served.location()
        answers = [threads.submit(httpx.get, f"{url}/{n}", timeout=60) for n in range(3)]
        found = served.wait_for(r"WARNING rocket_core.saturation: (.*)")[1]
        assert httpx.get(f"{url}/leave", timeout=60).text == "ok"
        assert [each.result().text for each in answers] == ["ok"] * 3
        served.wait_for("INFO rocket_core.saturation: a thread is free again after ")
        served.stop()
    assert re.match(
        r"all 2 threads have been busy for \d+ s; 1 request waiting, 0 requests ", found
    )
    assert "refused; the longest: GET /" in found
    if admin:
        assert found.endswith(f"; see rocket-cli threads --admin {tmp_path / 'admin.sock'}")
    else:
        assert found.endswith("; see what they do with --admin PATH, and rocket-cli threads")

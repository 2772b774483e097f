from __future__ import annotations

import logging
from pathlib import Path

import pytest

from conftest import HELLO, Write
from processes import Served
from rocket_cli._terminal.browser import open_browser, reachable
from rocket_core.testing import eventually


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://0.0.0.0:8443", "https://127.0.0.1:8443"),
        ("http://[::]:8000", "http://[::1]:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("unix:/run/rocket.sock", None),
    ],
)
def test_url_for_this_machine(location: str, url: str | None) -> None:
    assert reachable(location) == url


def test_browser_is_opened(tmp_path: Path, write: Write) -> None:
    write("app.py", HELLO.format("app"))
    browser = write(
        "browser", f'#!/bin/sh\necho "$1" > {tmp_path}/part\nmv {tmp_path}/part {tmp_path}/opened\n'
    )
    browser.chmod(0o755)
    options = ["--bind", f"unix:{tmp_path}/socket", "--bind", "127.0.0.1:0", "--open"]
    with Served(tmp_path, *options, BROWSER=f"{browser} %s") as served:
        served.location()
        url = served.location()
        eventually((tmp_path / "opened").exists)
        served.stop()
    assert (tmp_path / "opened").read_text() == f"{url}\n"


def test_no_browser_for_a_unix_socket(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        open_browser(["unix:/run/rocket.sock"])
    assert "Unix socket" in caplog.text

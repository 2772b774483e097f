from __future__ import annotations

import platform
import sys

import pytest

from rocket_cli import __version__
from rocket_cli._settings.threads import Threads
from rocket_cli._terminal.banner import banner


def test_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    locations = ["http://127.0.0.1:80", "http://0.0.0.0:81", "unix:/run/rocket.sock"]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    assert list(banner("app:app", 1, Threads(8, 8), locations)) == [
        f"Rocket {__version__}, {python} (GIL on), threads: 8",
        "Serving app:app",
        "Listening on http://127.0.0.1:80",
        "Listening on http://0.0.0.0:81 (on this machine http://127.0.0.1:81)",
        "Listening on unix:/run/rocket.sock",
        "Press Ctrl+C, or send SIGTERM, to stop",
    ]


def test_range_of_threads() -> None:
    assert next(banner("app:app", 1, Threads(4, 16), [])).endswith("threads: 4 to 16")


def test_without_the_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert "(GIL off)" in next(banner("app:app", 1, Threads(8, 8), []))


def test_number_of_processes() -> None:
    assert next(banner("app:app", 3, Threads(8, 8), [])).endswith("processes: 3, threads: 8")

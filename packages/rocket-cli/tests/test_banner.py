from __future__ import annotations

import platform
import sys

import pytest

from rocket_cli import __version__
from rocket_cli._banner import banner
from rocket_cli._threads import Threads
from rocket_core import Listener, TCPAddress


def test_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    listeners = [Listener(TCPAddress("127.0.0.1", 80)), Listener("unix:/run/rocket.sock")]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    assert list(banner("app:app", Threads(8, 8), listeners)) == [
        f"Rocket {__version__}, {python} (GIL on), threads: 8",
        "Serving app:app",
        "Listening on http://127.0.0.1:80",
        "Listening on unix:/run/rocket.sock",
        "Press Ctrl+C, or send SIGTERM, to stop",
    ]


def test_range_of_threads() -> None:
    assert next(banner("app:app", Threads(4, 16), [])).endswith("threads: 4 to 16")


def test_without_the_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert "(GIL off)" in next(banner("app:app", Threads(8, 8), []))

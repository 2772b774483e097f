from __future__ import annotations

import platform
import sys

import pytest

import rocket_core
import rocket_wsgi
from rocket_cli import __version__
from rocket_cli._settings.threads import Threads
from rocket_cli._terminal.banner import banner, start_event


def install(monkeypatch: pytest.MonkeyPatch, *, core: bool, wsgi: bool) -> None:
    """Have rocket-core and rocket-wsgi installed as compiled or as pure builds."""
    monkeypatch.setattr(rocket_core, "compiled", core)
    monkeypatch.setattr(rocket_wsgi, "compiled", wsgi)


def test_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, core=False, wsgi=False)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    locations = ["http://127.0.0.1:80", "http://0.0.0.0:81", "unix:/run/rocket.sock"]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    assert list(banner("app:app", 1, Threads(8, 8), locations)) == [
        f"Rocket {__version__} (pure), {python} (GIL on), threads: 8",
        "Serving app:app",
        "Listening on http://127.0.0.1:80",
        "Listening on http://0.0.0.0:81 (on this machine http://127.0.0.1:81)",
        "Listening on unix:/run/rocket.sock",
        "Press Ctrl+C, or send SIGTERM, to stop",
    ]


def test_one_line_for_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, core=True, wsgi=True)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    assert start_event("app:app", 2, Threads(4, 16), ["http://127.0.0.1:80", "unix:/run/x"]) == (
        f"started: Rocket {__version__} (compiled), {python} (GIL on), processes: 2, "
        "threads: 4 to 16; serving app:app on http://127.0.0.1:80, unix:/run/x"
    )


def test_range_of_threads() -> None:
    assert next(banner("app:app", 1, Threads(4, 16), [])).endswith("threads: 4 to 16")


def test_without_the_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert "(GIL off)" in next(banner("app:app", 1, Threads(8, 8), []))


def test_number_of_processes() -> None:
    assert next(banner("app:app", 3, Threads(8, 8), [])).endswith("processes: 3, threads: 8")


@pytest.mark.parametrize(
    ("core", "wsgi", "word"),
    [
        (True, True, "compiled"),
        (False, False, "pure"),
        (True, False, "mixed"),
        (False, True, "mixed"),
    ],
)
def test_build(core: bool, wsgi: bool, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, core=core, wsgi=wsgi)
    first = next(banner("app:app", 1, Threads(8, 8), []))
    assert first.startswith(f"Rocket {__version__} ({word}), ")

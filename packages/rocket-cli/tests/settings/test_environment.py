from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Write
from processes import Served, run
from rocket_cli._settings.environment import near_misses

MISSED = "there is no setting ROCKET_THREDS, and it has no effect: did you mean ROCKET_THREADS?"
APPLICATION = "def app(environ, start_response): ..."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ROCKET_THREDS", [MISSED]),
        ("ROCKET_THREADS", []),
        ("ROCKET_CONFIG", []),
        ("ROCKET_LAUNCHER_OF_ANOTHER_PROGRAM", []),
        ("ROCKETS_THREADS", []),
        ("THREDS", []),
    ],
)
def test_near_misses(name: str, expected: list[str]) -> None:
    assert list(near_misses({name: "3"})) == expected


def test_the_server_warns(tmp_path: Path, write: Write) -> None:
    write("app.py", APPLICATION)
    with Served(tmp_path, "--bind", "127.0.0.1:0", "app", ROCKET_THREDS="3") as served:
        served.wait_for(f"WARNING rocket_cli: {MISSED.replace('?', '.')}")
        served.location()
        served.stop()


def test_the_check_warns(tmp_path: Path, write: Write) -> None:
    write("app.py", APPLICATION)
    done = run(tmp_path, "check", "app", ROCKET_THREDS="3")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Warning: {MISSED}\nOK: would serve app at ")

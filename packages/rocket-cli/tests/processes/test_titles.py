"""Processes have the names of their roles in ps and top."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import VERSION, Write
from processes import COMMAND, Served
from rocket_core.testing import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

ANY = ["--bind", "127.0.0.1:0"]
ALONE = """
    import sys
    sys.modules["setproctitle"] = None
    from rocket_cli._commands.main import main
    main(prog_name="rocket-cli")
"""
"""The command where the package setproctitle is not installed."""


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("versioned.py", VERSION.format("one"))
    write("alone.py", ALONE)
    return tmp_path


def title(process: int) -> str:
    data = Path(f"/proc/{process}/cmdline").read_bytes()
    return data.replace(b"\0", b" ").decode().rstrip()


def command_name(process: int) -> str:
    return Path(f"/proc/{process}/comm").read_text().rstrip("\n")


def test_titles_and_command_names(site: Path) -> None:
    options = ["--processes", "2", "--admin", "admin.sock"]
    with Served(site, *ANY, *options, "versioned", command=COMMAND) as served:
        served.location()
        eventually((site / "admin.sock").exists)
        eventually(lambda: len(served.workers()) == 3)
        first, second, observer = served.workers()
        # It has names from its fork on: those of the supervisor.
        eventually(lambda: command_name(observer) == "rocket-observer")
        assert title(observer) == "rocket-cli: observer versioned"
        assert title(served.pid) == "rocket-cli: supervisor versioned"
        assert title(first) == "rocket-cli: worker 1 versioned"
        assert title(second) == "rocket-cli: worker 2 versioned"
        names = [command_name(each) for each in (served.pid, first, second)]
        assert names == ["rocket-cli", "rocket-worker 1", "rocket-worker 2"]
        served.stop()


def test_name_that_is_given(site: Path) -> None:
    with Served(site, *ANY, "--process-name", "the shop", "versioned", command=COMMAND) as served:
        served.location()
        (worker,) = served.workers()
        assert title(served.pid) == "rocket-cli: supervisor the shop"
        assert title(worker) == "rocket-cli: worker 1 the shop"
        served.stop()


def test_application_that_was_found(site: Path, write: Write) -> None:
    write("app.py", VERSION.format("found"))
    with Served(site, *ANY, command=COMMAND) as served:
        served.location()
        (worker,) = served.workers()
        assert title(served.pid) == "rocket-cli: supervisor app:app"
        assert title(worker) == "rocket-cli: worker 1 app:app"
        served.stop()


def test_without_the_package_there_are_command_names(site: Path) -> None:
    command = [sys.executable, "alone.py"]
    with Served(site, *ANY, "versioned", command=command) as served:
        served.location()
        (worker,) = served.workers()
        assert title(worker) == title(served.pid)
        assert "alone.py serve" in title(served.pid)
        assert (command_name(served.pid), command_name(worker)) == ("rocket-cli", "rocket-worker 1")
        shown = subprocess.run(
            ["ps", "-o", "comm=", "-p", str(worker)], capture_output=True, text=True, check=False
        )
        assert shown.stdout.strip() == "rocket-worker 1"
        served.stop()

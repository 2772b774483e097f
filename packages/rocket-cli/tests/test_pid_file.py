from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import HELLO, Write
from processes import Served, refuse
from rocket_cli._errors import CommandError
from rocket_cli._origin import Origin
from rocket_cli._pid_file import PidFile

OPTION = Origin("command line", "--pid", "--pid")


def test_file_is_there_while_it_serves(tmp_path: Path, write: Write) -> None:
    write("good.py", HELLO.format("app"))
    with Served(tmp_path, "--bind", "127.0.0.1:0", "--pid", "rocket.pid", "good") as served:
        served.location()
        assert (tmp_path / "rocket.pid").read_text() == f"{served.pid}\n"
        served.stop()
    assert not (tmp_path / "rocket.pid").exists()


def test_another_process_that_runs(tmp_path: Path, write: Write) -> None:
    write("good.py", HELLO.format("app"))
    (tmp_path / "rocket.pid").write_text(f"{os.getpid()}\n")
    line = refuse(tmp_path, "--bind", "127.0.0.1:0", "--pid", "rocket.pid", "good")
    assert line.startswith(f"--pid: {tmp_path}/rocket.pid says that process {os.getpid()} serves")
    assert (tmp_path / "rocket.pid").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["", "nonsense", "ended"])
def test_what_an_ended_process_has_left(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rocket.pid"
    if content == "ended":
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            content = str(ended.pid)
    path.write_text(content)
    file = PidFile(path, OPTION)
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == [path]
    file.remove()
    assert not path.exists()


def test_file_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rocket.pid"
    file = PidFile(path, OPTION)
    file.write()
    path.write_text("1\n")
    file.remove()
    assert path.read_text() == "1\n"


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "rocket.pid"
    with pytest.raises(CommandError, match=rf"^--pid: {path} cannot be written: No such file"):
        PidFile(path, OPTION).write()

from __future__ import annotations

from pathlib import Path

import pytest

from processes import refuse, run
from rocket_cli._commands.usage_errors import _COUNTERPARTS
from rocket_cli._settings.all_settings import SETTINGS


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--workers", "3"], "--workers: there is no such option; here it is --processes"),
        (["--host=::"], "--host: there is no such option; here it is --bind HOST:PORT"),
        (
            ["--respawn-failed-workers"],
            (
                "--respawn-failed-workers: there is no such option; it is not needed here: a "
                "process that ends is replaced"
            ),
        ),
        (
            ["--access-logfile", "-"],
            "--access-logfile: there is no such option; here it is --access-log",
        ),
        (
            ["--worker-tmp-dir", "/dev/shm"],
            (
                "--worker-tmp-dir: there is no such option; it is not needed here: Worker "
                "processes have no heartbeat file"
            ),
        ),
        (["--spew"], "--spew: there is no such option; Use a tracer or debugger of Python"),
        (["--thread", "3"], "--thread: there is no such option; did you mean --threads?"),
        (["--zzz"], "--zzz: there is no such option; see rocket-cli serve --help"),
        (["a", "b"], "got unexpected extra argument (b); see rocket-cli serve --help"),
        (["--bind"], "option '--bind' requires an argument; see rocket-cli --help"),
    ],
)
def test_error_is_one_line(tmp_path: Path, arguments: list[str], line: str) -> None:
    assert refuse(tmp_path, *arguments) == line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serv"], "no such command 'serv'; see rocket-cli --help"),
        (["--zzz"], "--zzz: there is no such option; see rocket-cli --help"),
        (["check", "--workers=1"], "--workers: there is no such option; here it is --processes"),
    ],
)
def test_error_in_another_command(tmp_path: Path, arguments: list[str], line: str) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"rocket-cli: error: {line}\n"


def test_without_a_command_the_help_is_printed(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert "Usage: rocket-cli" in done.stdout + done.stderr


def test_counterparts_are_options_that_exist() -> None:
    names = {f"--{each.name}" for each in SETTINGS}
    assert not names & set(_COUNTERPARTS)
    for counterpart in _COUNTERPARTS.values():
        for word in counterpart.replace(",", " ").split():
            assert not word.startswith("--") or word in names, counterpart

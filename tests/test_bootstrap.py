"""The script that sets up a clone."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

import rocket_cli
from systemtests.processes import PATIENCE, ROOT
from systemtests.processes import rocket_cli as find_command

AS_IT_IS = """\
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

WITHOUT_ENSUREPIP = """\
import runpy, sys
sys.modules["ensurepip"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script where Python cannot create virtual environments, as on Debian without
python3-venv."""

OLD = """\
import runpy, sys
sys.version_info = (3, 9, 2)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    copy = tmp_path / "bootstrap.py"
    shutil.copy(ROOT / "bootstrap.py", copy)
    return copy


def run(
    program: str,
    script: Path,
    *arguments: str,
    python: str = sys.executable,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run the script in a program of Python, without programs on the PATH."""
    (script.parent / "programs").mkdir(exist_ok=True)
    return subprocess.run(
        [python, "-c", program, str(script), *arguments],
        env={**os.environ, "PATH": str(script.parent / "programs")},
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=10 * PATIENCE,
        check=False,
    )


def test_without_a_tool_for_virtual_environments(script: Path) -> None:
    """The error says what to install, and an environment that is made then is left alone."""
    done = run(WITHOUT_ENSUREPIP, script, "test")
    assert done.returncode == 1
    assert done.stderr.startswith(f"bootstrap.py: {sys.executable} cannot create virtual")
    assert "python3-venv" in done.stderr
    kept = script.parent / ".venv" / "kept"
    kept.parent.mkdir()
    kept.touch()
    done = run(WITHOUT_ENSUREPIP, script, "test")
    assert done.returncode == 1
    assert done.stderr.endswith(".venv was not created by bootstrap.py: move it away.\n")
    assert kept.exists()


def test_python_that_is_too_old(script: Path) -> None:
    done = run(OLD, script)
    assert done.returncode == 1
    assert done.stderr.startswith("bootstrap.py needs Python 3.11 or later; this is Python 3.9.2.")
    assert "uv run --no-project" in done.stderr


def test_usage(script: Path) -> None:
    done = run(WITHOUT_ENSUREPIP, script, "begin")
    assert done.returncode == 1
    assert done.stderr.startswith("usage: python3 bootstrap.py serve ")


@pytest.fixture
def packages(script: Path) -> Path:
    """What the script reads of the packages before it installs them."""
    for project in ROOT.glob("packages/*/pyproject.toml"):
        folder = script.parent / "packages" / project.parent.name
        folder.mkdir(parents=True)
        shutil.copy(project, folder)
        if (hook := project.with_name("hatch_build.py")).exists():
            shutil.copy(hook, folder)
    return script.parent / "packages"


@pytest.mark.parametrize("command", ["serve", "install"])
def test_compiled_without_a_compiler(
    command: str, script: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what is missing before anything is built."""
    monkeypatch.setenv("CC", "no-compiler")
    done = run(AS_IT_IS, script, command, "--compiled")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "bootstrap.py: a compiled wheel needs a C compiler, and no-compiler is not installed. "
        "Without --compiled, nothing is compiled.\n"
    )


MANAGED = """\
import sysconfig
get_path = sysconfig.get_path
sysconfig.get_path = lambda name, *rest: {folder!r} if name == "stdlib" else get_path(name, *rest)
"""


def test_an_interpreter_of_the_operating_system_is_left_alone(
    script: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interpreter that belongs to the operating system has a file that says so (PEP 668)."""
    site = script.parent / "site"
    site.mkdir()
    (site / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=Ask the administrator.\n")
    (site / "sitecustomize.py").write_text(MANAGED.format(folder=str(site)))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    base = Path(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
    done = run(AS_IT_IS, script, "install", python=str(base))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"bootstrap.py: {base} belongs to the operating system or to uv")
    assert done.stderr.endswith("such as: python3 bootstrap.py install ~/rocket-venv\n")


def test_an_active_environment_is_asked_instead(
    script: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter that runs the script need not be that of the active environment."""
    active = script.parent / "active"
    (active / "bin").mkdir(parents=True)
    (active / "bin" / "python").symlink_to(script.parent / "missing")
    monkeypatch.setenv("VIRTUAL_ENV", str(active))
    base = Path(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
    done = run(AS_IT_IS, script, "install", python=str(base))
    assert done.stderr == (
        f"bootstrap.py: {active}/bin/python cannot be run: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["packages"], "packages is neither empty nor a virtual environment: name another "),
        ([".venv"], ".venv is the environment of `serve` and `test`, which install "),
        (["--extras", "acme,acne"], "there is no extra 'acne': choose from acme, brotli, "),
    ],
)
def test_where_and_what_is_not_installed(
    words: list[str], message: str, script: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(script.parent)
    programs = script.parent / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs.parent / "pyvenv.cfg").touch()
    (programs / "python").symlink_to(sys.executable)
    done = run(AS_IT_IS, script, "install", *words)
    assert done.returncode != 0
    assert message in done.stderr


PIP = """\
import sys
print("Collecting", sys.argv[-1])
sys.exit({status})
"""


@pytest.fixture
def fake_pip(script: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a pip that prints a line and ends."""
    package = script.parent / "site" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    return package / "__main__.py"


def test_a_terminal_shows_what_pip_does(
    script: Path, packages: Path, fake_pip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pip that succeeds nothing stays, and elsewhere than on a terminal nothing is shown."""
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setenv("TERM", "xterm")
    fake_pip.write_text(PIP.format(status=0))
    terminal, inner = pty.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as screen, os.fdopen(inner, "wb") as output:
        shown = run(AS_IT_IS, script, "install", "--extras", "", stdout=output)
        assert shown.returncode == 0, shown.stderr
        text = screen.read(10_000).decode()
    *shown_lines, nothing = text.replace("\r\n", "").split("\r\x1b[K")
    assert re.fullmatch(r" *\d+ s  Collecting .*", shown_lines[-1])
    assert nothing.startswith("Installed Rocket ")
    done = run(AS_IT_IS, script, "install", "--extras", "")
    assert "Collecting" not in done.stdout
    began, installed, command, activation = done.stdout.splitlines()
    assert began == f"Installing Rocket for {sys.executable}"
    assert re.fullmatch(
        rf"Installed Rocket {re.escape(rocket_cli.__version__)} \((pure|compiled)\) in \d+ s, "
        r"with the extras: none",
        installed,
    )
    assert command == f"The command is {find_command()}"
    assert (
        activation
        == f"To call it by its name: . {find_command().removesuffix('rocket-cli')}activate"
    )


def test_what_pip_says_is_shown_if_it_fails(script: Path, packages: Path, fake_pip: Path) -> None:
    fake_pip.write_text(PIP.format(status=3))
    done = run(AS_IT_IS, script, "install")
    assert done.returncode == 1
    said, error = done.stderr.splitlines()
    assert said == f"Collecting {packages}/rocket-cli[acme,brotli,metrics,reload,titles,zstd]"
    assert error.startswith("bootstrap.py: exit status 3 of the command: ")

"""The script that sets up a clone."""

from __future__ import annotations

import faulthandler
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from systemtests.processes import PATIENCE, ROOT

if TYPE_CHECKING:
    from pathlib import Path

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


def run(program: str, script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (script.parent / "programs").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", program, str(script), *arguments],
        env={**os.environ, "PATH": str(script.parent / "programs")},
        capture_output=True,
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


def test_compiled_without_a_compiler(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is missing before anything is built."""
    faulthandler.cancel_dump_traceback_later()  # a slow network is no hanging test
    monkeypatch.delenv("CC", raising=False)
    hook = script.parent / "packages" / "rocket-core" / "hatch_build.py"
    hook.parent.mkdir(parents=True)
    shutil.copy(ROOT / "packages" / "rocket-core" / "hatch_build.py", hook)
    done = run(AS_IT_IS, script, "serve", "--compiled")
    assert done.returncode == 1, done.stderr
    *_, last = done.stderr.splitlines()  # pip may warn before
    assert re.fullmatch(
        r"bootstrap\.py: a compiled wheel needs a C compiler, and \S+ is not installed\. "
        r"Without --compiled, nothing is compiled\.",
        last,
    )

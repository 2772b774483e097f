"""Completion by the shells that are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from processes import PATIENCE, run

COMPLETE = {
    "bash": """
        source script
        COMP_WORDS=({words} '') COMP_CWORD={count}
        COMP_WORDS[$COMP_CWORD]='{incomplete}'
        _rocket_cli_completion rocket-cli
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "fish": """
        source script
        complete --do-complete '{line}' | cut -f 1
    """,
}


def complete(directory: Path, shell: str, line: str) -> set[str]:
    """Return what the shell offers as the completion of a line."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    done = run(directory, "completion", shell)
    assert done.returncode == 0, done.stderr
    (directory / "script").write_text(done.stdout)
    script = directory / "rocket-cli"
    script.write_text(
        f"#!{sys.executable}\nfrom rocket_cli import main\nmain(prog_name='rocket-cli')\n"
    )
    script.chmod(0o755)
    *words, incomplete = line.split(" ")
    answer = subprocess.run(
        [program],
        input=COMPLETE[shell].format(
            words=" ".join(words), count=len(words), incomplete=incomplete, line=line
        ),
        cwd=directory,
        env={**os.environ, "PATH": f"{directory}:{os.environ['PATH']}", "HOME": str(directory)},
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert answer.stderr == ""
    return set(answer.stdout.split())


@pytest.mark.parametrize("shell", COMPLETE)
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("rocket-cli se", {"serve"}),
        ("rocket-cli serve --access-log-m", {"--access-log-max-lines"}),
        ("rocket-cli serve --log-level w", {"warning"}),
        ("rocket-cli completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_offered_completions(tmp_path: Path, shell: str, line: str, offered: set[str]) -> None:
    assert complete(tmp_path, shell, line) == offered


def test_script_for_zsh(tmp_path: Path) -> None:
    done = run(tmp_path, "completion", "zsh")
    assert done.returncode == 0
    assert done.stdout.startswith("#compdef rocket-cli")
    assert "_ROCKET_CLI_COMPLETE=zsh_complete" in done.stdout


def test_unknown_shell(tmp_path: Path) -> None:
    done = run(tmp_path, "completion", "csh")
    assert done.returncode == 2
    assert "bash" in done.stderr

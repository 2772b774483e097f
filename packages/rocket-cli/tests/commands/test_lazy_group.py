"""Commands are imported only when they are called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from rocket_cli import main
from rocket_cli._commands.main import SUBCOMMANDS

HEAVY = ("rocket_core", "rocket_wsgi", "rocket_tls", "cryptography", "ssl", "_ssl", "socket")

PRINT_MODULES = """
import sys
from rocket_cli import main
try:
    main(sys.argv[1:], prog_name="rocket-cli")
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def modules_of(directory: Path, *arguments: str) -> set[str]:
    """Return the modules that a command imports."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT_MODULES, *arguments],
        cwd=directory,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return set(done.stderr.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], *([name, "--help"] for name in SUBCOMMANDS)],
    ids=" ".join,
)
def test_help_needs_no_server(tmp_path: Path, arguments: list[str]) -> None:
    imported = modules_of(tmp_path, *arguments)
    assert "click" in imported
    assert not imported.intersection(HEAVY)


def test_help_of_the_group_needs_no_command(tmp_path: Path) -> None:
    modules = {each.module for each in SUBCOMMANDS.values()}
    assert not modules_of(tmp_path, "--help").intersection(modules)


def test_plain_http_needs_no_tls(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def app(environ, start_response): ...", encoding="utf-8")
    assert not modules_of(tmp_path, "check").intersection({"rocket_tls", "cryptography", "ssl"})


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_command_of_every_name(name: str) -> None:
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert f"{name}  " in main.get_help(context)


def test_unknown_command() -> None:
    assert main.get_command(click.Context(main), "chekc") is None

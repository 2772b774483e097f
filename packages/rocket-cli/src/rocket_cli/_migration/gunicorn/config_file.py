"""A configuration file of gunicorn, which is a Python program: it is run, as gunicorn runs it.

Only then computed values (``workers = cpu_count() * 2 + 1``) and those of the environment are what
gunicorn gets. A second look at the source finds the lines.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from rocket_cli._errors import CommandError
from rocket_cli._migration.texts import read_text

_PROGRAM: Final = Path(__file__).parent / "child.py"


class Attribute(NamedTuple):
    """An attribute of an argument that a function uses, such as ``worker.age``."""

    position: int
    """The position of the argument, from 0."""
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a configuration file says.

    Attributes:
        path: its path.
        values: the values of the settings that it sets.
        others: the names that it has besides, without those that begin with an underscore.
        imports_gunicorn: whether it imports gunicorn.
        lines: the line of each name, if it can be found.
        computed: the names whose values are not constants in the source.
        attributes: what functions use of their arguments, by the name of the function.
    """

    path: Path
    values: dict[str, Any]
    others: list[str]
    imports_gunicorn: bool
    lines: dict[str, int]
    computed: set[str]
    attributes: dict[str, list[Attribute]]

    def place(self, name: str) -> str:
        """Return the file and, if it can be found, the line of a name."""
        line = self.lines.get(name)
        return str(self.path) if line is None else f"{self.path}:{line}"


def read_config_file(path: Path, names: Iterable[str]) -> ConfigFile:
    """Run the file, and return what it sets. Raises `CommandError`, which names the line."""
    text = read_text(path)
    with tempfile.TemporaryFile() as file:
        done = subprocess.run(  # noqa: S603 - it is the user's own file, which gunicorn runs, too
            [sys.executable, "-P", str(_PROGRAM), str(file.fileno()), str(path), ",".join(names)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[file.fileno()],
            check=False,
        )
        file.seek(0)
        answer = file.read()
    if done.stdout:  # what the file prints is not part of the settings
        click.echo(done.stdout, nl=False, err=True)
    if not answer:
        raise CommandError(f"{path} ended Python before it was read (exit code {done.returncode})")
    report = json.loads(answer)
    if "error" in report:
        raise CommandError(_complaint(path, report["error"]))
    tree = ast.parse(text, str(path))
    bindings = dict(_bindings(tree.body))
    return ConfigFile(
        path,
        report["values"],
        report["others"],
        any(map(_imports_gunicorn, ast.walk(tree))),
        {name: node.lineno for name, node in bindings.items()},
        {name for name, node in bindings.items() if not _is_constant(node)},
        {
            name: list(_attributes(node))
            for name, node in bindings.items()
            if isinstance(node, ast.FunctionDef)
        },
    )


def _complaint(path: Path, error: dict[str, Any]) -> str:
    place = f"{path}:{error['line']}" if error["line"] else str(path)
    advice = "gunicorn fails there, too: correct it, or set what it needs"
    if error.get("missing"):
        advice = (
            f"install {error['missing']} in this environment, or run the command in the one of the "
            "application"
        )
    return f"{place}: {error['message']}; {advice}"


def _bindings(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that statements bind, and the statements, without those of functions."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name, node
        for target in ast.walk(node):
            if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                yield target.id, node
        for blocks in ("body", "orelse", "finalbody"):
            yield from _bindings(getattr(node, blocks, []))


def _imports_gunicorn(node: ast.AST) -> bool:
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    return any(name.partition(".")[0] == "gunicorn" for name in names)


def _is_constant(node: ast.stmt) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return True
    value = getattr(node, "value", None)
    if not isinstance(value, ast.expr):
        return False
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):
        return False
    return True


def _attributes(function: ast.FunctionDef) -> Iterator[Attribute]:
    positions = {each.arg: position for position, each in enumerate(function.args.args)}
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            position = positions.get(node.value.id)
            if position is not None:
                yield Attribute(position, f"{node.value.id}.{node.attr}", node.lineno)

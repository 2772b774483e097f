"""Which server a configuration or a command is for, and what it becomes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rocket_cli._errors import CommandError
from rocket_cli._migration.draft import Draft
from rocket_cli._migration.texts import read_text

TITLES: Final = {
    "gunicorn": "gunicorn",
    "uwsgi": "uWSGI",
    "waitress": "waitress",
    "mod_wsgi": "mod_wsgi",
}
"""The servers, by the word for ``--from``."""
_PROGRAMS: Final = {
    "gunicorn": "gunicorn",
    "uwsgi": "uwsgi",
    "waitress-serve": "waitress",
    "mod_wsgi-express": "mod_wsgi",
}
_MODULES: Final = {"gunicorn": "gunicorn", "waitress": "waitress"}
"""The servers that ``python -m`` runs, by the name of the module."""
_MARKS: Final = (
    ("uwsgi", re.compile(r"^\s*(\[uwsgi\]|<uwsgi\b|uwsgi:|\{?\s*\"uwsgi\"\s*:)", re.MULTILINE)),
    ("mod_wsgi", re.compile(r"^\s*WSGI[A-Z]\w+\s", re.MULTILINE)),
    ("gunicorn", re.compile(r"^\s*use\s*[=:]\s*egg:gunicorn\b", re.MULTILINE)),
    ("waitress", re.compile(r"^\s*use\s*[=:]\s*egg:waitress\b|^\[server:", re.MULTILINE)),
)
_ENVIRONMENT: Final = re.compile(r"[A-Za-z_]\w*=")


def migrate_file(path: Path, kind: str | None) -> Draft:
    """Return what a configuration file becomes. Raises `CommandError`."""
    text = read_text(path)
    return _settled(_reading(kind or _recognise(path, text)).migrate_file(path))


def migrate_command(words: Sequence[str], kind: str | None) -> Draft:
    """Return what a command becomes, given as its words. Raises `CommandError`."""
    program, arguments = _program(words)
    if program is None and kind is None:
        raise CommandError(
            f"{words[0]} is not the command of a server that is known here: use one of "
            f"{', '.join(_PROGRAMS)}, or --from"
        )
    return _settled(_reading(kind or program or "").migrate_command(arguments))


def _settled(draft: Draft) -> Draft:
    draft.settle()
    return draft


def _reading(kind: str) -> Any:
    return import_module(f"rocket_cli._migration.{kind}.reading")


def _recognise(path: Path, text: str) -> str:
    for kind, mark in _MARKS:
        if mark.search(text):
            return kind
    if path.suffix == ".py":
        return "gunicorn"
    raise CommandError(
        f"cannot tell which server {path} is for: say so with --from {'|'.join(TITLES)}"
    )


def _program(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the kind of a command, if its program is known, and the arguments of the program."""
    rest = list(words)
    if rest and Path(rest[0]).name == "env":
        del rest[0]
    while rest and _ENVIRONMENT.match(rest[0]):
        del rest[0]
    if not rest:
        return None, []
    name = Path(rest[0]).name
    if re.fullmatch(r"python[0-9.]*", name) and rest[1:2] == ["-m"] and len(rest) > 2:
        return _MODULES.get(rest[2].partition(".")[0]), rest[3:]
    return (_PROGRAMS[name], rest[1:]) if name in _PROGRAMS else (None, rest)


def is_program(word: str) -> bool:
    """Return whether a word is the program of a server, and not the name of a file."""
    return Path(word).name in _PROGRAMS

"""The options of gunicorn's command line, and of the variable ``GUNICORN_CMD_ARGS``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from rocket_cli._errors import CommandError
from rocket_cli._migration.counterparts import Row
from rocket_cli._migration.gunicorn.table import GUNICORN


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"cannot read the options of gunicorn: {message}")


def parse_command_line(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the settings by name; ``wsgi_app`` is the argument. Raises `CommandError`."""
    parser = _Parser(prog="gunicorn", add_help=False)
    for row in GUNICORN.rows:
        _add(parser, row)
    parser.add_argument("wsgi_app", nargs="?")
    found = vars(parser.parse_args(arguments))
    return {name: value for name, value in found.items() if value is not None}


def _add(parser: argparse.ArgumentParser, row: Row) -> None:
    if row.name == "wsgi_app":
        return
    long = f"--{row.name.replace('_', '-')}"
    longer = [name for name in row.names if name.startswith("--")]
    names = [*row.names, *([] if longer else [long])]
    options: dict[str, Any] = {"dest": row.name}
    if row.flag:
        options |= {"action": "store_const", "const": row.name != "sendfile"}
    elif row.many:
        options["action"] = "append"
    elif row.name == "proxy_protocol":
        options |= {"nargs": "?", "const": "auto"}
    parser.add_argument(*names, **options)

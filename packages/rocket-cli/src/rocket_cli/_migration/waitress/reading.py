"""A configuration of waitress: an ini file of Paste, or the command waitress-serve."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from rocket_cli._errors import CommandError
from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Given
from rocket_cli._migration.paste_ini import read_server_section, say_application
from rocket_cli._migration.rules import is_yes
from rocket_cli._migration.waitress.table import WAITRESS


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"cannot read the options of waitress-serve: {message}")


def migrate_file(path: Path) -> Draft:
    """Return what an ini file becomes. Raises `CommandError`."""
    section = read_server_section(path)
    if section.server != "waitress":
        raise CommandError(f"the server in {path} is {section.server or 'unknown'}, not waitress")
    draft = _migrate(section.options)
    say_application(draft, str(path))
    return draft


def migrate_command(arguments: Sequence[str]) -> Draft:
    """Return what a command becomes. Raises `CommandError`."""
    parser = _Parser(prog="waitress-serve", add_help=False)
    for row in WAITRESS.rows:
        name = row.name.replace("_", "-")
        if row.name == "app":
            continue
        if row.flag:
            parser.add_argument(f"--{name}", dest=row.name, action="store_const", const="true")
            parser.add_argument(f"--no-{name}", dest=row.name, action="store_const", const="false")
        elif row.many:
            parser.add_argument(f"--{name}", dest=row.name, action="append")
        else:
            parser.add_argument(f"--{name}", dest=row.name)
    parser.add_argument("--app", dest="option_app")
    parser.add_argument("app", nargs="?")
    found: dict[str, Any] = vars(parser.parse_args(arguments))
    found["app"] = found.pop("option_app") or found["app"]
    if found["app"] and found.pop("call", None) == "true":
        found["app"] = f"{found['app'].removesuffix('()')}()"
    options = [
        Given(name, value, "command line") for name, value in found.items() if value is not None
    ]
    draft = _migrate(options)
    if not found["app"]:
        draft.check("app", "It is the argument of waitress-serve: set app to it.")
    return draft


def _migrate(options: Sequence[Given]) -> Draft:
    draft = Draft()
    given = {each.name: each for each in options}
    address = given.get("host") or given.get("port")
    if address is not None:
        host = str(given["host"].value) if "host" in given else "0.0.0.0"  # noqa: S104 - its default
        port = given["port"].value if "port" in given else 8080
        host = {"*": ""}.get(host, f"[{host}]" if ":" in host else host)
        draft.add("bind", f"{host}:{port}", Given("host, port", None, address.place))
    for each in options:
        row = WAITRESS.find(each.name)
        if row is None:
            draft.lose(each, "This is no option of waitress.")
        elif row.flag and not row.carry and is_yes(each.value) == bool(row.default):
            continue
        else:
            row.apply(draft, each)
    if draft.value("bind") is None:
        draft.add("bind", "0.0.0.0:8080", Given("listen (default)", None, ""))
    return draft

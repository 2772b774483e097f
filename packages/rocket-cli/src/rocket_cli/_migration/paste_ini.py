"""The server section of an ini file of Paste, as Pyramid's ``pserve`` and others read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rocket_cli._errors import CommandError
from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Given
from rocket_cli._migration.texts import read_text


@dataclass(frozen=True, slots=True)
class ServerSection:
    """The options of a section such as ``[server:main]``.

    Attributes:
        server: the name of the server, from ``use = egg:NAME``.
        options: its options.
    """

    server: str
    options: list[Given]


def read_server_section(path: Path) -> ServerSection:
    """Return the server section ``main``, or else the first one. Raises `CommandError`."""
    sections: dict[str, list[Given]] = {}
    current: list[Given] | None = None
    for number, line in enumerate(read_text(path).split("\n"), 1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        if text[0] == "[":
            name = text.strip("[]").strip()
            current = sections.setdefault(name, []) if name.startswith("server:") else None
        elif current is not None and line[0].isspace() and current:
            last = current.pop()
            current.append(Given(last.name, f"{last.value} {text}".strip(), last.place))
        elif current is not None:
            name, _, value = re.split(r"([=:])", text, maxsplit=1)
            value = value.strip().replace("%(here)s", str(path.absolute().parent))
            current.append(Given(name.strip(), value, f"{path}:{number}"))
    options = sections.get("server:main") or next(iter(sections.values()), None)
    if not options:
        raise CommandError(f"{path} has no section [server:main] of Paste")
    use = next((str(each.value) for each in options if each.name == "use"), "")
    server = use.removeprefix("egg:").partition("#")[0].lower()
    return ServerSection(server, [each for each in options if each.name != "use"])


def say_application(draft: Draft, path: str) -> None:
    """Say how to serve the application of an ini file."""
    draft.check(
        "app",
        f"Write a module, such as wsgi.py, with the lines: from paste.deploy import loadapp; "
        f'application = loadapp("config:{Path(path).absolute()}"). Then set app = '
        '"wsgi:application". For Pyramid, get_app of pyramid.paster does the same, and '
        "setup_logging of it reads the sections of logging.",
    )

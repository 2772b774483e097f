"""Finding the application in the current directory."""

from __future__ import annotations

import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rocket_cli._application.loading import FACTORY_NAMES, USUAL_NAMES, import_module
from rocket_cli._errors import CommandError
from rocket_cli._settings.target import Target

_NAMES = (*USUAL_NAMES, *FACTORY_NAMES)


@dataclass(frozen=True, slots=True)
class Found:
    """An application that was found.

    Attributes:
        kind: what it is, for the operator.
        target: the name by which it is loaded.
    """

    kind: str
    target: Target


def discover(directory: Path) -> Found | None:
    """Search ``directory``, which must be on the import path, for an application.

    A module is imported only if it binds one of the usual names. Raises `CommandError` if the
    import fails, or if there are several Django projects.
    """
    for kind, module, path in _candidates(directory):
        if not _may_hold_application(path):
            continue
        names = vars(import_module(module))
        for name in _NAMES:
            if name in names:
                return Found(kind, Target(module, name, factory=name in FACTORY_NAMES))
    return None


def _candidates(directory: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield the kind, the module and the file of each candidate, in the order of precedence."""
    yield "application", "app", directory / "app.py"
    yield "application", "wsgi", directory / "wsgi.py"
    if (project := _django_project(directory)) is not None:
        yield "Django project", f"{project}.wsgi", directory / project / "wsgi.py"
    yield "application", "main", directory / "main.py"


def _django_project(directory: Path) -> str | None:
    if not (directory / "manage.py").is_file():
        return None
    packages = sorted(path.parent.name for path in directory.glob("*/wsgi.py"))
    projects = [name for name in packages if name.isidentifier()]
    if len(projects) > 1:
        choices = " or ".join(f"{name}.wsgi:application" for name in projects)
        raise CommandError(f"{directory} has several Django projects: name one of them, {choices}")
    return projects[0] if projects else None


def _may_hold_application(path: Path) -> bool:
    """Return whether a file binds one of the usual names, without running the file."""
    if not path.is_file():
        return False
    try:
        table = symtable.symtable(path.read_text(encoding="utf-8"), str(path), "exec")
    except (SyntaxError, ValueError):
        return True  # the import will report the error
    symbols = {symbol.get_name(): symbol for symbol in table.get_symbols()}
    return any(
        symbols[name].is_assigned() or symbols[name].is_imported()
        for name in _NAMES
        if name in symbols
    )

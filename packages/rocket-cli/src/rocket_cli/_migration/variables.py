"""Variables of the environment that the old server sets, as a file for ``env-file``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Given

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def place_variables(draft: Draft, path: Path | None) -> str:
    """Set ``env-file`` to ``path``, and return its text; without a path, say what to do.

    Variables that such a file cannot have are reported.
    """
    for name in list(draft.variables):
        if not _NAME.match(name):
            del draft.variables[name]
            draft.lose(Given(name, None, ""), "This is not a name of a variable for env-file.")
    if not draft.variables:
        return ""
    names = ", ".join(draft.variables)
    if path is None:
        draft.lose(
            f"the variables {names}",
            "Use --env-output FILE, which writes them to a file and sets env-file; or set them "
            "where the server is started.",
        )
        return ""
    if draft.value("chdir") is not None:
        path = path.absolute()  # relative paths are relative to chdir
    draft.put("env-file", str(path), Given(names, None, ""))
    return "".join(f"{name}={quoted(value)}\n" for name, value in draft.variables.items())


def quoted(value: str) -> str:
    """Return a value for such a file, in double quotes if it needs any."""
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,=-]*", value):
        return value
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'

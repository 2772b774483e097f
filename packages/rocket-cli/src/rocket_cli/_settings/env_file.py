r"""The file of ``--env-file``: variables for the environment of the application.

The format is that of EnvironmentFile= of systemd (systemd.exec(5)): NAME=VALUE on each line, empty
lines, and comments, which begin with ``#`` or ``;``. A value may be in single quotes, as it is, or
in double quotes, in which a backslash precedes ``"``, ``\\``, ``$`` and `````; quoted values may
have several lines. Elsewhere a backslash takes the next character as it is, and at the end of a
line continues it. Nothing is expanded. What systemd would skip with a warning is an error here.

A variable of the environment overrides the file, as for Docker Compose and most frameworks: so one
start can differ from what the file says. Therefore the process remembers which variables it has
set. Before a file is used again, or another one, they are taken back (`enter`); and a new
supervisor is started with the environment that this one was started with (`outer_environment`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rocket_cli._errors import CommandError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_START: Final = re.compile(r"[ \t]*(?P<name>[^=\n]*?)[ \t]*=[ \t]*")
_COMMENT: Final = re.compile(r"[ \t]*(?:[#;][^\n]*)?(?:\n|\Z)")
_PLAIN: Final = re.compile(r"[^\n\\'\"]+")
_SINGLE: Final = re.compile(r"'([^']*)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(\n|[\"\\$`])")

_own: Final[dict[str, str]] = {}
"""The variables that this process has set."""


class EnvFile:
    """What such a file says.

    Attributes:
        path: the absolute path of the file.
        values: the values of the variables, by name.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises `CommandError`, which names the line."""
        self.path = path.absolute()
        self.values: dict[str, str] = {}
        self._shown = path
        self._lines: dict[str, int] = {}
        try:
            text = path.read_text(encoding="utf-8")  # which makes one character of CR and LF
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not encoded in UTF-8"
            raise CommandError(f"cannot read the file of --env-file {path}: {reason}") from error
        position = 0
        while position < len(text):
            position = self._take(text, position)

    def place(self, name: str) -> str:
        """Return the file and the line of a variable."""
        return f"{self._shown}:{self._lines[name]}"

    def _take(self, text: str, position: int) -> int:
        """Read what begins at ``position``, the start of a line; return where the next begins."""
        comment = _COMMENT.match(text, position)
        if comment is not None:
            return comment.end()
        line = text.count("\n", 0, position) + 1
        start = _START.match(text, position)
        name = "" if start is None else start["name"]
        if start is None or not _NAME.match(name):
            raise CommandError(f"{self._shown}:{line}: {_complaint(text, position, name)}")
        value, end = self._value(text, start.end(), f"{self._shown}:{line}: {name}")
        if "\0" in value:
            raise CommandError(f"{self._shown}:{line}: {name} contains a NUL character")
        self.values[name] = value
        self._lines[name] = line
        return end

    def _value(self, text: str, position: int, where: str) -> tuple[str, int]:
        """Return a value, and the start of the line behind it."""
        parts: list[str] = []
        kept = 0
        """The number of parts up to the last one that must not be stripped."""
        while position < len(text) and text[position] != "\n":
            if text[position] == "\\":
                following = text[position + 1 : position + 2]
                parts.append("" if following == "\n" else following)
                position += 2
                kept = len(parts)
            elif text[position] in "'\"":
                quoted = (_SINGLE if text[position] == "'" else _DOUBLE).match(text, position)
                if quoted is None:
                    raise CommandError(f"{where} begins with {text[position]}, which has no end")
                content = quoted[1]
                if text[position] == '"':
                    content = _ESCAPE.sub(lambda escape: escape[1].strip("\n"), content)
                parts.append(content)
                position = quoted.end()
                kept = len(parts)
            else:
                plain = _PLAIN.match(text, position)
                assert plain is not None  # noqa: S101 - all other characters were looked for
                parts.append(plain[0])
                position = plain.end()
        return "".join([*parts[:kept], "".join(parts[kept:]).rstrip(" \t")]), position + 1


def _complaint(text: str, position: int, name: str) -> str:
    line = text[position:].partition("\n")[0].strip()
    exported = name.removeprefix("export ").strip()
    if exported != name and _NAME.match(exported):
        return f"leave out export: {exported}=..."
    if "=" not in line:
        return f"{line!r} has no =: use NAME=VALUE"
    return (
        f"{name!r} is not the name of a variable: use letters, digits and _, and no digit at first"
    )


def enter(values: Mapping[str, str]) -> None:
    """Set the variables that the environment lacks, in place of those that were set before."""
    for name, value in _own.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _own.clear()
    for name, value in values.items():
        if name not in os.environ:
            os.environ[name] = _own[name] = value


def is_own(name: str) -> bool:
    """Return whether `enter` has set a variable."""
    return name in _own


def outer_environment() -> dict[str, str]:
    """Return the environment without what `enter` has set."""
    return {name: value for name, value in os.environ.items() if _own.get(name) != value}

"""The settings file: rocket.toml, or a table of pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rocket_cli._errors import CommandError

OWN_NAME: Final = "rocket.toml"
SHARED_NAME: Final = "pyproject.toml"

_SHARED_TABLE: Final = ("tool", "rocket")


class ConfigFile:
    """A TOML file with settings: the whole file, or the table ``tool.rocket`` of a pyproject.toml.

    Attributes:
        path: the path of the file.
        has_settings: whether the file contains the table.
        values: the settings by key, as TOML has them.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises `CommandError`; for a syntax error it names the line."""
        self.path = path
        try:
            self._text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not encoded in UTF-8"
            raise CommandError(f"cannot read the settings file {path}: {reason}") from error
        try:
            document = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise CommandError(f"{path} is not valid TOML: {error}") from error
        self._table = _SHARED_TABLE if path.name == SHARED_NAME else ()
        found = _look_up(document, self._table)
        if not isinstance(found, dict | None):
            raise CommandError(f"{self.place()}: tool.rocket must be a table of settings")
        self.has_settings = found is not None
        self.values: dict[str, Any] = found or {}

    def place(self, key: str | None = None) -> str:
        """Return the file and, if it can be found, the line of a key, or else of the table."""
        wanted = self._table if key is None else (*self._table, key)
        number = find_line(self._text, wanted)
        return str(self.path) if number is None else f"{self.path}:{number}"


def find_config() -> ConfigFile | None:
    """Return the settings file of the current directory; None if there is none.

    That is ``rocket.toml`` or, if it does not exist, a ``pyproject.toml`` with settings. Raises
    `CommandError` if the file cannot be read.
    """
    own, shared = Path(OWN_NAME), Path(SHARED_NAME)
    if own.exists():
        return ConfigFile(own)
    if shared.exists():
        file = ConfigFile(shared)
        return file if file.has_settings else None
    return None


def find_line(text: str, path: Iterable[str]) -> int | None:
    """Return the line, from 1, on which a key of a TOML document begins; None if it is unclear.

    tomllib does not report lines. But the first lines of a document are a document too, unless
    they end inside a value. So the line of a key is the first one that contains the key's text and
    before which the document has no such key.
    """
    path = tuple(path)
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not path or path[-1] not in line:
            continue
        before = _parse(lines[:number])
        if before is None or _look_up(before, path) is not None:
            continue
        for end in range(number + 1, len(lines) + 1):
            after = _parse(lines[:end])
            if after is not None:
                break
        else:
            return None
        if _look_up(after, path) is not None:
            return number + 1
    return None


def _parse(lines: list[str]) -> dict[str, Any] | None:
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads("\n".join(lines))
    return None


def _look_up(document: dict[str, Any], path: Iterable[str]) -> Any:
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found

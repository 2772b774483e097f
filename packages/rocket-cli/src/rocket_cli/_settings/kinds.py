"""The kinds of values that settings have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rocket_cli._errors import CommandError
from rocket_cli._settings.mount import parse_mount
from rocket_cli._settings.origin import origin

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_LONGEST: Final = 1_000_000
"""Seconds, about eleven days, which every call of the system takes that waits."""


def _misread(
    error: ValueError, param: click.Parameter | None, ctx: click.Context | None
) -> CommandError:
    where = "" if param is None or ctx is None else f"{origin(ctx, param)}: "
    return CommandError(f"{where}{error}")


def _completions(values: Iterable[str], type: str = "plain") -> list[CompletionItem]:  # noqa: A002 - as click calls it
    from click.shell_completion import CompletionItem

    return [CompletionItem(each, type=type) for each in values]


class Kind(click.ParamType):  # type: ignore[type-arg] # it takes none before click 8.3
    """Reads a value from the text of an option or a variable, or from a TOML file.

    Attributes:
        types: what the value may be in a TOML file.
        wanted: that type in words.
        unit: what a number counts, in the plural; or empty.
        metavar: what stands for a value in the help.
    """

    types: tuple[type, ...] = (str,)
    wanted = "a string"
    unit = ""
    metavar = "TEXT"

    def parse(self, text: str) -> Any:
        """Read a text. Raises `ValueError`, whose message says what would be right."""
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """The value as a TOML file has it."""
        return str(value)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read what click has found. Raises `CommandError`, which says where that came from."""
        if not isinstance(value, (str, int, float)):  # converted already
            return value
        try:
            if "\0" in str(value):
                raise ValueError(f"{value!r} has a NUL, which no such value can have")
            return self.parse(str(value))
        except ValueError as error:
            raise _misread(error, param, ctx) from error


class Whole(Kind):
    """A whole number within bounds."""

    types = (int,)
    wanted = "a whole number"
    name = "number"

    def __init__(self, least: int, most: int = (1 << 63) - 1, *, unit: str = "") -> None:
        self._least = least
        self._most = most
        self.unit = unit
        self.metavar = unit.upper() or "N"

    def parse(self, text: str) -> int:
        """Read the digits."""
        if text.isascii() and text.isdigit() and self._least <= int(text) <= self._most:
            return int(text)
        unit = f" of {self.unit}" if self.unit else ""
        raise ValueError(f"{text!r}: use a whole number{unit} from {self._least} to {self._most}")

    def plain(self, value: int) -> int:
        """The number."""
        return value


class Amount(Kind):
    """A number greater than 0."""

    types = (int, float)
    wanted = "a number"
    name = "number"

    def __init__(self, unit: str, most: int) -> None:
        self.unit = unit
        self.metavar = unit.upper().replace(" ", "-")
        self._most = most

    def parse(self, text: str) -> float:
        """Read digits, with or without a decimal point."""
        if _NUMBER.fullmatch(text) and 0 < float(text) <= self._most:
            return float(text)
        raise ValueError(
            f"{text!r}: use a number of {self.unit} greater than 0, at most {self._most}"
        )

    def plain(self, value: float) -> float:
        """The number, whole if it is."""
        return int(value) if value.is_integer() else value


_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


class Flag(Kind, click.types.BoolParamType):
    """Yes or no."""

    types = (bool,)
    wanted = "true or false"
    name = "boolean"

    def parse(self, text: str) -> bool:
        """Read what an environment variable holds."""
        if text.lower() not in _YES | _NO:
            raise ValueError(f"{text!r}: use true or false")
        return text.lower() in _YES

    def plain(self, value: bool) -> bool:
        """The value."""
        return value


class Text(Kind):
    """Whatever a function makes of a text."""

    name = "text"

    def __init__(
        self,
        parse: Callable[[str], Any] = str,
        *,
        types: tuple[type, ...] = (str,),
        wanted: str = "a string",
        plain: Callable[[Any], Any] = str,
    ) -> None:
        self._parse = parse
        self._plain = plain
        self.types = types
        self.wanted = wanted

    def parse(self, text: str) -> Any:
        """Have the function read the text."""
        return self._parse(text)

    def plain(self, value: Any) -> Any:
        """As the other function makes it."""
        return self._plain(value)


class Choice(Kind):
    """One of some words."""

    name = "choice"

    def __init__(self, words: Sequence[str], make: Callable[[str], Any] = str) -> None:
        self.words = words
        self.metavar = "|".join(words)
        self._make = make

    def parse(self, text: str) -> Any:
        """Read one of the words."""
        if text not in self.words:
            raise ValueError(f"{text!r}: use {', '.join(self.words[:-1])} or {self.words[-1]}")
        return self._make(text)

    def plain(self, value: Any) -> str:
        """The word."""
        return str(value.value if isinstance(value, Enum) else value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that begin so."""
        del ctx, param
        return _completions(each for each in self.words if each.startswith(incomplete))


class FilePath(Kind):
    """The path of a file."""

    name = "path"
    metavar = "PATH"

    def parse(self, text: str) -> Path:
        """Any text but an empty one."""
        if not text:
            raise ValueError("'': use the path of a file")
        return Path(text)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Have the shell complete it."""
        del ctx, param
        return _completions([incomplete], "file")


class Words(Kind):
    """Several words: with commas between them, or a list in a TOML file."""

    types = (list,)
    wanted = "a list of strings"
    name = "list"

    def __init__(self, check: Callable[[list[str]], object], *, none: bool = False) -> None:
        """Have ``check`` raise `ValueError` for words that are wrong.

        With ``none`` the list may be empty, which in a text is the word ``none``.
        """
        self._check = check
        self._none = none

    def parse(self, text: str) -> list[str]:
        """Take the text apart."""
        if self._none and text == "none":
            return self._checked([])
        return self._checked([word.strip() for word in text.split(",")])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read what click has found. Raises `CommandError`."""
        if isinstance(value, str):
            return super().convert(value, param, ctx)
        try:
            return self._checked(list(value))
        except ValueError as error:
            raise _misread(error, param, ctx) from error

    def _checked(self, words: list[str]) -> list[str]:
        if not words and not self._none:
            raise ValueError("the list is empty: name at least one")
        self._check(words)
        return words

    def plain(self, value: list[str]) -> list[str]:
        """The list."""
        return value


class DirectoryAtPath(Text):
    """A mount, of which the shell completes the directory."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Have the shell complete it, unless it begins with a path of URLs."""
        del ctx, param
        return [] if "=" in incomplete else _completions([incomplete], "dir")


BYTES: Final = Whole(0, unit="bytes")
DIRECTORY_AT_PATH: Final = DirectoryAtPath(parse_mount)
SECONDS: Final = Amount("seconds", _LONGEST)
RATE: Final = Amount("bytes per second", 10**12)
FLAG: Final = Flag()
FILE: Final = FilePath()

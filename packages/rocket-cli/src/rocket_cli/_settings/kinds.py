"""The kinds of values that settings have, and how each is read from text and from TOML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rocket_cli._errors import CommandError
from rocket_cli._settings.mount import parse_mount
from rocket_cli._settings.origin import origin
from rocket_cli._units import exact_size

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_NUMBER: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)", re.ASCII)
_SIZES: Final = {
    f"{prefix}{suffix}": 1 << exponent
    for prefix, exponent in {"": 0, "k": 10, "K": 10, "M": 20, "G": 30, "T": 40}.items()
    for suffix in ("", "B", "iB")
    if prefix or suffix != "iB"
}
"""The units of sizes, in bytes. Each prefix is a power of 1024, as in most servers' settings."""
_TIMES: Final = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
"""The units of times, in seconds."""
_UNBOUNDED: Final = (1 << 63) - 1
"""The largest integer of TOML, as an upper bound that no message needs to name."""
_LONGEST: Final = 1_000_000
"""Seconds, about eleven days: every system call that waits accepts as many."""


def _misread(
    error: ValueError, param: click.Parameter | None, ctx: click.Context | None
) -> CommandError:
    where = "" if param is None or ctx is None else f"{origin(ctx, param)}: "
    return CommandError(f"{where}{error}")


def _completions(values: Iterable[str], type: str = "plain") -> list[CompletionItem]:  # noqa: A002 - as click calls it
    from click.shell_completion import CompletionItem

    return [CompletionItem(each, type=type) for each in values]


class Kind(click.ParamType):  # type: ignore[type-arg] # it takes none before click 8.3
    """A kind of values: reads the text of an option or a variable, and the values of a TOML file.

    Attributes:
        types: the types that a value may have in a TOML file.
        wanted: these types in words.
        unit: the unit of a number, in the plural; or empty.
        metavar: the placeholder for a value in the help.
    """

    types: tuple[type, ...] = (str,)
    wanted = "a string"
    unit = ""
    metavar = "TEXT"

    def parse(self, text: str) -> Any:
        """Read a value from text. Raises `ValueError`, whose message says what would be right."""
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """Return a value in the form for a TOML file."""
        return str(value)

    def shown(self, value: Any) -> str:
        """Return a value of a TOML file as text for the help, with its unit."""
        return f"{value} {self.unit}".rstrip()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a value that click has found. Raises `CommandError`, which names its source."""
        if not isinstance(value, (str, int, float)):  # converted already
            return value
        try:
            if "\0" in str(value):
                raise ValueError(f"{value!r} contains a NUL character, which is not allowed")
            return self.parse(str(value))
        except ValueError as error:
            raise _misread(error, param, ctx) from error


class Whole(Kind):
    """A whole number within bounds."""

    types: tuple[type, ...] = (int,)
    wanted = "a whole number"
    name = "number"

    def __init__(self, least: int, most: int = _UNBOUNDED, *, unit: str = "") -> None:
        self._least = least
        self._most = most
        self.unit = unit
        self.metavar = unit.upper() or "N"

    def parse(self, text: str) -> int:
        """Read decimal digits."""
        if text.isascii() and text.isdigit() and self._least <= int(text) <= self._most:
            return int(text)
        unit = f" of {self.unit}" if self.unit else ""
        if self._most == _UNBOUNDED:
            bounds = f", at least {self._least}"
        else:
            bounds = f" from {self._least} to {self._most}"
        raise ValueError(f"{text!r}: use a whole number{unit}{bounds}")

    def plain(self, value: int) -> int:
        """Return the number."""
        return value


def _measured(text: str, units: Mapping[str, float]) -> float | None:
    """Read a number with one of the ``units`` behind it; return None if it is none."""
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        return None
    if match[1].isdigit() and isinstance(units[match[2]], int):
        return int(match[1]) * units[match[2]]  # exactly, however long it is
    return float(match[1]) * units[match[2]]


class Bytes(Whole):
    """A size in bytes or a larger unit, which the help shows in a larger unit where it can."""

    types = (int, str)
    wanted = 'a whole number of bytes, or a string such as "10M"'

    def __init__(self, least: int = 0) -> None:
        super().__init__(least, unit="bytes")

    def parse(self, text: str) -> int:
        """Read a number, with or without a unit."""
        found = _measured(text, _SIZES)
        if found is not None and self._least <= found <= self._most and found == int(found):
            return int(found)
        raise ValueError(
            f"{text!r}: use a whole number of bytes, at least {self._least}, or a size such as "
            "512K, 10M or 2G"
        )

    def shown(self, value: int) -> str:
        """Return the size in the largest unit of which it is a multiple."""
        return exact_size(value)


class Amount(Kind):
    """A number greater than 0, which may have a fraction, and a unit."""

    types = (int, float, str)
    name = "number"

    def __init__(
        self, unit: str, most: int, units: Mapping[str, float], examples: Sequence[str]
    ) -> None:
        """Read a number of ``unit``, or with one of the ``units``, of which these are examples."""
        self.unit = unit
        self.metavar = unit.upper().replace(" ", "-")
        self.wanted = f"a number of {unit}"
        shown = f"{', '.join(examples[:-1])} or {examples[-1]}"
        if len(units) > 1:
            self.wanted += f', or a string such as "{examples[0]}"'
            shown = f"or one with a unit, such as {shown}"
        else:
            shown = f"such as {shown}"
        self._most = most
        self._units = units
        self._use = f"use a number of {unit} greater than 0 and at most {most}, {shown}"

    def parse(self, text: str) -> float:
        """Read decimal digits, with or without a decimal point, and a unit or none."""
        found = _measured(text, self._units)
        if found is not None and 0 < found <= self._most:
            return float(found)
        raise ValueError(f"{text!r}: {self._use}")

    def plain(self, value: float) -> float:
        """Return the number, without a decimal point if it is whole."""
        return int(value) if value.is_integer() else value


class Nothing(Enum):
    """The value of a setting that has a default, and can do without any value."""

    NONE = "none"


class AmountOrNone(Kind):
    """A number greater than 0, or the word ``none``."""

    types = (int, float, str)
    name = "number"

    def __init__(self, amount: Amount) -> None:
        self._amount = amount
        self.wanted = f'{amount.wanted}, or "none"'
        self.unit = amount.unit
        self.metavar = f"{amount.metavar}|none"

    def parse(self, text: str) -> float | Nothing:
        """Read decimal digits, with or without a decimal point, or the word."""
        if text == Nothing.NONE.value:
            return Nothing.NONE
        try:
            return self._amount.parse(text)
        except ValueError as error:
            raise ValueError(f"{error}, or none") from None

    def plain(self, value: float | Nothing) -> float | str:
        """Return the number, or the word."""
        return value.value if isinstance(value, Nothing) else self._amount.plain(value)


_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


class Flag(Kind, click.types.BoolParamType):
    """Yes or no."""

    types = (bool,)
    wanted = "true or false"
    name = "boolean"

    def parse(self, text: str) -> bool:
        """Read one of the words that environment variables have for true and false."""
        if text.lower() not in _YES | _NO:
            raise ValueError(f"{text!r}: use true or false")
        return text.lower() in _YES

    def plain(self, value: bool) -> bool:
        """Return the value."""
        return value

    def shown(self, value: bool) -> str:
        """Return ``yes`` or ``no``."""
        return "yes" if value else "no"


class Text(Kind):
    """A text that a function reads."""

    name = "text"

    def __init__(
        self,
        parse: Callable[[str], Any] = str,
        *,
        types: tuple[type, ...] = (str,),
        wanted: str = "a string",
        plain: Callable[[Any], Any] = str,
    ) -> None:
        """Read a text by ``parse``, and write it to a TOML file by ``plain``."""
        self._parse = parse
        self._plain = plain
        self.types = types
        self.wanted = wanted

    def parse(self, text: str) -> Any:
        """Read a text by the function."""
        return self._parse(text)

    def plain(self, value: Any) -> Any:
        """Return what the other function makes of a value."""
        return self._plain(value)


class Choice(Kind):
    """One of several words."""

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
        """Return the word."""
        return str(value.value if isinstance(value, Enum) else value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the words that begin with ``incomplete``."""
        del ctx, param
        return _completions(each for each in self.words if each.startswith(incomplete))


class FilePath(Kind):
    """The path of a file or directory."""

    name = "path"
    metavar = "PATH"

    def parse(self, text: str) -> Path:
        """Read a text that is not empty."""
        if not text:
            raise ValueError("'': use a path, which cannot be empty")
        return Path(text)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete the path."""
        del ctx, param
        return _completions([incomplete], "file")


class Words(Kind):
    """Several words: separated by commas in a text, a list in a TOML file."""

    types = (list,)
    wanted = "a list of strings"
    name = "list"

    def __init__(self, check: Callable[[list[str]], object], *, none: bool = False) -> None:
        """Check words by ``check``, which raises `ValueError` for words that are wrong.

        With ``none`` the list may be empty; in a text the word ``none`` stands for that.
        """
        self._check = check
        self._none = none

    def parse(self, text: str) -> list[str]:
        """Split the text at the commas, and check the words."""
        if self._none and text == "none":
            return self._checked([])
        return self._checked([word.strip() for word in text.split(",")])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a value that click has found. Raises `CommandError`, which names its source."""
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
        """Return the list."""
        return value


class DirectoryAtPath(Text):
    """A mount, of which the shell completes the directory."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete the directory, unless the text begins with a URL path."""
        del ctx, param
        return [] if "=" in incomplete else _completions([incomplete], "dir")


BYTES: Final = Bytes()
DIRECTORY_AT_PATH: Final = DirectoryAtPath(parse_mount)
SECONDS: Final = Amount("seconds", _LONGEST, _TIMES, ["90s", "5m", "2h"])
SECONDS_OR_NONE: Final = AmountOrNone(SECONDS)
REQUESTS_PER_SECOND: Final = Amount("requests per second", 10**9, {"": 1.0}, ["10", "0.5"])
CONNECTIONS_PER_SECOND: Final = Amount("connections per second", 10**9, {"": 1.0}, ["10", "0.5"])
RATE: Final = Amount("bytes per second", 10**12, _SIZES, ["10K", "1M"])
FLAG: Final = Flag()
FILE: Final = FilePath()

"""What stands for the options of another server here: the form of the tables.

Each server has one table. The command carries options over by its rows, and the pages in
``docs/migration`` are made from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Fate, Given
from rocket_cli._settings.all_settings import SETTINGS


@dataclass(frozen=True, slots=True)
class Row:
    """An option of another server.

    Attributes:
        name: its name, or a pattern with ``*`` for options that only come together.
        fate: what becomes of it.
        settings: the settings that correspond to it here.
        note: what is different, or what to do instead.
        names: its other names, such as options of the command line; or other patterns.
        default: a value that changes nothing in that server.
        flag: whether it takes no value on the command line.
        many: whether it can be repeated.
        words: the number of words of its value on the command line.
        carry: what carries it over; the other options have none.
    """

    name: str
    fate: Fate
    settings: tuple[str, ...] = ()
    note: str = ""
    names: tuple[str, ...] = ()
    default: Any = None
    flag: bool = False
    many: bool = False
    words: int = 1
    carry: Callable[[Draft, Given], None] | None = None

    def is_off(self, value: Any) -> bool:
        """Return whether the value changes nothing in that server."""
        return value in (None, "", False, [], {}) or value == self.default

    def apply(self, draft: Draft, given: Given) -> None:
        """Carry the option over, or say why this is not done."""
        if self.carry is not None:
            self.carry(draft, given)
        elif not self.is_off(given.value):
            draft.say(self.fate, given, self.note)


@dataclass(frozen=True)
class Table:
    """The options of a server.

    Attributes:
        title: the name of the server.
        sections: its options, by the title of their section.
    """

    title: str
    sections: Mapping[str, Sequence[Row]]
    _by_name: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rows in self.sections.values():
            for row in rows:
                for name in (row.name, *row.names):
                    assert name not in self._by_name, name  # noqa: S101 - a mistake in a table
                    self._by_name[name] = row

    @property
    def rows(self) -> list[Row]:
        """Return all options, in the order of the table."""
        return [row for rows in self.sections.values() for row in rows]

    def find(self, name: str) -> Row | None:
        """Return the row of an option; None if the server has no such option."""
        found = self._by_name.get(name)
        if found is not None:
            return found
        patterns = ((each, row) for each, row in self._by_name.items() if "*" in each)
        return next((row for each, row in patterns if fnmatchcase(name, each)), None)


def carried(
    name: str,
    settings: str,
    carry: Callable[[Draft, Given], None],
    note: str = "",
    **others: Any,
) -> Row:
    """Make a row of an option that is carried over to ``settings``, separated by spaces."""
    return Row(name, Fate.CARRIED, tuple(settings.split()), note, carry=carry, **others)


def needless(name: str, note: str, **others: Any) -> Row:
    """Make a row of an option that is not needed here."""
    return Row(name, Fate.NEEDLESS, (), note, **others)


def lost(name: str, note: str, settings: str = "", **others: Any) -> Row:
    """Make a row of an option that the command cannot carry over."""
    return Row(name, Fate.LOST, tuple(settings.split()), note, **others)


def in_rocket(gunicorn: str) -> str:
    """Return the settings that the table of settings has for one of gunicorn."""
    return " ".join(each.name for each in SETTINGS if gunicorn in each.gunicorn.split(", "))

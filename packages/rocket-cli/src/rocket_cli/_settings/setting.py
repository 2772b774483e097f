"""A setting: its name, the values it has, what it does, and the part of the server that gets it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from rocket_cli._settings.kinds import Kind


class Part(Enum):
    """The class that gets a setting as a keyword argument.

    The value of a member is the name of that class, which is imported only when it is needed. The
    command itself uses the settings of `COMMAND`.
    """

    COMMAND = ""
    SERVER = "rocket_core:Server"
    TIMEOUTS = "rocket_core:Timeouts"
    LISTENER = "rocket_core:Listener"
    """All listeners, with TLS or without."""
    TLS_SETTINGS = "rocket_tls:TLSSettings"
    ACME = "rocket_tls:ACME"
    SITE = "rocket_wsgi:Site"
    FILES = "rocket_wsgi:StaticFiles"
    """All directories of ``static``."""
    REQUEST_IDS = "rocket_wsgi:RequestIds"
    ACCESS_LOG = "rocket_wsgi:AccessLog"

    @property
    def taker(self) -> Any:
        """Import the class."""
        module, _, name = self.value.partition(":")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, as a row of the table.

    Attributes:
        name: its key in a settings file, and its option without the dashes.
        kind: the kind of its values.
        help: what it does, in one or two sentences in the imperative.
        part: the class that gets its value; `Part.COMMAND`: none, the command reads it by name.
        keyword: the argument of that class.
        default: the value that a settings file would state to change nothing; None if no value
            does that.
        default_words: the default in words, where the value does not tell or there is none.
        many: whether it can be repeated. In a settings file it is a list then.
        argument: whether it is an argument of the command, not an option.
        metavar: the placeholder for its value in the help.
        needs: settings of which at least one must be set for this one to have an effect.
        gunicorn: the names of corresponding settings of gunicorn, separated by commas.
    """

    name: str
    kind: Kind
    help: str
    part: Part
    keyword: str
    default: Any
    default_words: str
    many: bool
    argument: bool
    metavar: str
    needs: tuple[str, ...]
    gunicorn: str

    @property
    def parameter(self) -> str:
        """Return the name as a Python identifier."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Return the name of the environment variable."""
        return f"ROCKET_{self.parameter.upper()}"

    @property
    def description(self) -> str:
        """Return what the setting does, and whether it can be repeated."""
        return f"{self.help} Can be repeated." if self.many else self.help

    @property
    def default_text(self) -> str:
        """Return the default as text for the help, with its unit; empty if there is none."""
        if self.default_words or self.default is None:
            return self.default_words
        return " ".join(self.default) if self.many else self.kind.shown(self.default)

    def plain(self, value: Any) -> Any:
        """Return a value in the form for a settings file; None if there is no value."""
        if value is None or (self.many and not value):
            return None
        return [self.kind.plain(each) for each in value] if self.many else self.kind.plain(value)

    def complaint(self, value: object) -> str | None:
        """Return what is wrong with the type of a value in a settings file; None if nothing is."""
        if self.many:
            if _is_list_of_strings(value):
                return None
            return f"must be a list of strings, such as {self.name} = [{_quoted(value)}]"
        if type(value) not in self.kind.types:
            return f"must be {self.kind.wanted}, not {_NAMES.get(type(value), 'a date or time')}"
        if isinstance(value, list) and not _is_list_of_strings(value):
            return f"must be {self.kind.wanted}, but an item is not a string"
        return None


_NAMES: Final = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a decimal number",
    list: "a list",
    dict: "a table",
}


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else '"..."'


def setting(
    name: str,
    kind: Kind,
    help: str,  # noqa: A002 - as click calls it
    *,
    part: Part = Part.COMMAND,
    keyword: str | None = None,
    default: Any = None,
    default_words: str = "",
    many: bool = False,
    argument: bool = False,
    metavar: str | None = None,
    needs: str | tuple[str, ...] = (),
    gunicorn: str = "",
) -> Setting:
    """Make a row of the table; `Setting` describes the arguments.

    Unless ``keyword`` says otherwise, the argument of the part has the name of the setting.
    """
    return Setting(
        name=name,
        kind=kind,
        help=help,
        part=part,
        keyword=keyword or name.replace("-", "_"),
        default=default,
        default_words=default_words,
        many=many,
        argument=argument,
        metavar=metavar or kind.metavar,
        needs=(needs,) if isinstance(needs, str) and needs else tuple(needs),
        gunicorn=gunicorn,
    )

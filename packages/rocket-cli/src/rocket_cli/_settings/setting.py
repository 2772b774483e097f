"""What a setting is."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from rocket_cli._settings.kinds import Kind


class Section(Enum):
    """What a setting is about: the sections of the help."""

    APPLICATION = "Application"
    LISTENING = "Listening"
    TLS = "TLS"
    PROCESSES = "Processes"
    THREADS = "Threads"
    LIMITS = "Limits"
    TIMEOUTS = "Time-outs"
    REQUESTS = "Requests"
    PROXIES = "Proxies"
    FILES = "Static files"
    LOGS = "Logs"
    OBSERVATION = "Observation"
    DEVELOPMENT = "Development"


class Part(Enum):
    """Who is given a setting as a keyword argument; `COMMAND`: the command itself deals with it.

    Its value names that class, which is not imported before it is needed.
    """

    COMMAND = ""
    SERVER = "rocket_core:Server"
    TIMEOUTS = "rocket_core:Timeouts"
    LISTENER = "rocket_core:Listener"
    """Every one of them, with TLS or without."""
    TLS_SETTINGS = "rocket_tls:TLSSettings"
    ACME = "rocket_tls:ACME"
    SITE = "rocket_wsgi:Site"
    FILES = "rocket_wsgi:StaticFiles"
    """Every mount."""
    REQUEST_IDS = "rocket_wsgi:RequestIds"
    ACCESS_LOG = "rocket_wsgi:AccessLog"

    @property
    def taker(self) -> Any:
        """The class itself."""
        module, _, name = self.value.partition(":")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: the key in a file, and the option without its dashes.
        kind: what values it has.
        section: where the help shows it.
        help: what it does, in a sentence or two.
        part: who is given it.
        keyword: as which argument.
        default: what a file would have to say to change nothing; None: nothing does.
        many: whether it may be given several times, which in a file is a list.
        argument: whether the command takes it as an argument instead of an option.
        metavar: what stands for the value in the help.
        needs: the settings of which one at least must be there, or this one does nothing; or none.
        gunicorn: the setting of gunicorn that means the same, or nearly so.
    """

    name: str
    kind: Kind
    section: Section
    help: str
    part: Part
    keyword: str
    default: Any
    many: bool
    argument: bool
    metavar: str
    needs: tuple[str, ...]
    gunicorn: str

    @property
    def parameter(self) -> str:
        """Its name where that must be an identifier."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"ROCKET_{self.parameter.upper()}"

    @property
    def default_text(self) -> str:
        """The default for a person to read; empty where there is none."""
        if self.default is None:
            return ""
        if isinstance(self.default, bool):
            return "yes" if self.default else "no"
        if isinstance(self.default, list):
            return " ".join(self.default)
        return f"{self.default} {self.kind.unit}".rstrip()

    def plain(self, value: Any) -> Any:
        """A value as a file has it; None where it has none."""
        if value is None or (self.many and not value):
            return None
        return [self.kind.plain(each) for each in value] if self.many else self.kind.plain(value)

    def complaint(self, value: object) -> str | None:
        """What is wrong with the type of a value in a file, if anything."""
        if self.many:
            if _is_list_of_strings(value):
                return None
            return f"must be a list of strings, as {self.name} = [{_quoted(value)}]"
        if type(value) not in self.kind.types:
            return f"must be {self.kind.wanted}, not {_NAMES.get(type(value), 'a date or time')}"
        if isinstance(value, list) and not _is_list_of_strings(value):
            return f"must be {self.kind.wanted}, and something else is in the list"
        return None


_NAMES: Final = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a point",
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
    section: Section,
    help: str,  # noqa: A002 - as click calls it
    *,
    part: Part = Part.COMMAND,
    keyword: str | None = None,
    default: Any = None,
    many: bool = False,
    argument: bool = False,
    metavar: str | None = None,
    needs: str | tuple[str, ...] = (),
    gunicorn: str = "",
) -> Setting:
    """A setting, by default for the argument of its own name."""
    if keyword is None:
        keyword = name.replace("-", "_")
    return Setting(
        name=name,
        kind=kind,
        section=section,
        help=help,
        part=part,
        keyword=keyword,
        default=default,
        many=many,
        argument=argument,
        metavar=metavar or kind.metavar,
        needs=(needs,) if isinstance(needs, str) and needs else tuple(needs),
        gunicorn=gunicorn,
    )

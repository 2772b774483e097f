"""The settings that a migration has found so far, and what it has to say about the others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from rocket_cli._errors import CommandError
from rocket_cli._migration.options import Fate, Given
from rocket_cli._settings.all_settings import SETTINGS
from rocket_cli._settings.printing import toml_value

BY_NAME: Final = {each.name: each for each in SETTINGS}


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence about an option.

    Attributes:
        fate: what has become of the option; if it was carried over, the text says what to check.
        subject: the option with its value, or what else the text is about.
        place: where it is set; or empty.
        text: what is different, or what to do.
    """

    fate: Fate
    subject: str
    place: str
    text: str


@dataclass(slots=True)
class Entry:
    """A setting for the new file, and the options that it was made from."""

    value: Any
    sources: list[Given]


class Draft:
    """The settings for the new file.

    Attributes:
        entries: the settings, by name.
        findings: what is to be said about options.
        variables: the variables of the environment that the old server sets.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.findings: list[Finding] = []
        self.variables: dict[str, str] = {}

    def put(self, name: str, value: Any, given: Given) -> bool:
        """Set ``name`` to a value in the form of a settings file; say so if that is not valid."""
        setting = BY_NAME[name]
        complaint = setting.complaint(value)
        if complaint is None:
            try:
                for each in value if setting.many else [value]:
                    setting.kind.convert(each, None, None)
            except CommandError as error:
                complaint = error.message
        if complaint is not None:
            text = f"{name} = {toml_value(value)} is not valid here: {complaint}"
            self.say(Fate.LOST, given, f"{text}.")
            return False
        self.entries[name] = Entry(value, [given])
        return True

    def add(self, name: str, value: str, given: Given) -> None:
        """Add a value to a setting that can be repeated, or to a list of words."""
        before = self.entries.get(name)
        values = [] if before is None else list(before.value)
        if value in values:
            return
        if self.put(name, [*values, value], given) and before is not None:
            self.entries[name].sources[:0] = before.sources

    def value(self, name: str) -> Any:
        """Return the value of a setting; None if it is not set."""
        entry = self.entries.get(name)
        return None if entry is None else entry.value

    def say(self, fate: Fate, given: Given | str, text: str) -> None:
        """Remember a sentence about an option, or about a subject without one."""
        if isinstance(given, str):
            self.findings.append(Finding(fate, given, "", text))
        else:
            self.findings.append(Finding(fate, shown(given), given.place, text))

    def lose(self, given: Given | str, text: str) -> None:
        """Say why an option is not carried over."""
        self.say(Fate.LOST, given, text)

    def check(self, given: Given | str, text: str) -> None:
        """Say what is to be checked about an option that is carried over."""
        self.say(Fate.CARRIED, given, text)

    def settle(self) -> None:
        """Remove the settings that would have no effect, because another one is missing."""
        for name, entry in list(self.entries.items()):
            needs = BY_NAME[name].needs
            if needs and not any(self.value(each) not in (None, False, []) for each in needs):
                del self.entries[name]
                wanted = " or ".join(needs)
                for given in entry.sources:
                    self.lose(given, f"{name} has no effect without {wanted}.")


def shown(given: Given) -> str:
    """Return an option and its value for a message, the value shortened if it is long."""
    value = given.value
    if value is None or value is True or value == "true":
        return given.name
    if isinstance(value, dict) and "$" in value:  # as the reader of gunicorn has functions
        return given.name if value["$"] == "function" else f"{given.name} = {value['name']}"
    text = json.dumps(value, ensure_ascii=False)
    return f"{given.name.removesuffix('=')} = {text if len(text) <= 60 else text[:57] + '...'}"

"""Printing settings, and where they come from."""

from __future__ import annotations

import json

from rocket_cli._commands.settings_command import Chosen
from rocket_cli._settings.setting import Section, Setting
from rocket_cli._settings.table import SETTINGS


def as_toml(chosen: Chosen) -> str:
    """A TOML document of all settings, in which those without a value are comments."""
    lines: list[str] = []
    for section in Section:
        if lines:
            lines.append("")
        lines.append(f"# {section.value}")
        lines += [_line(each, chosen) for each in SETTINGS if each.section is section]
    return "\n".join(lines) + "\n"


def as_json(chosen: Chosen) -> str:
    """An object of all settings, each with its value and its source."""
    settings = {
        each.name: {
            "value": each.plain(chosen[each.name]),
            "source": chosen.origin(each.name).source,
            "place": chosen.origin(each.name).place or None,
        }
        for each in SETTINGS
    }
    return json.dumps(settings, indent=2) + "\n"


def _line(setting: Setting, chosen: Chosen) -> str:
    value = setting.plain(chosen[setting.name])
    origin = chosen.origin(setting.name)
    if value is None:
        return f"# {setting.name} is not set"
    # Numbers, booleans, strings and lists of strings are in JSON what they are in TOML, except for
    # the control character that JSON does not escape (TOML 1.0, "String").
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"{setting.name} = {text}   # {origin.source} {origin.place}".rstrip()

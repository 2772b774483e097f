"""The settings in force and their sources, as TOML and as JSON."""

from __future__ import annotations

import json
from typing import Any

from rocket_cli._settings.all_settings import SECTIONS, SETTINGS
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.setting import Setting


def as_toml(chosen: Chosen) -> str:
    """Return a TOML document of all settings; settings without a value are comments."""
    sections = (
        "\n".join([f"# {title}", *(_line(each, chosen) for each in settings)])
        for title, settings in SECTIONS.items()
    )
    return "\n\n".join(sections) + "\n"


def as_json(chosen: Chosen) -> str:
    """Return a JSON object of all settings, with the value and the source of each."""
    settings = {
        each.name: {
            "value": each.plain(chosen[each.name]),
            "source": chosen.origin(each.name).source,
            "place": chosen.origin(each.name).place or None,
        }
        for each in SETTINGS
    }
    return json.dumps(settings, indent=2) + "\n"


def toml_value(value: Any) -> str:
    """Return a number, a boolean, a string or a list of strings as TOML.

    These have the same form in JSON, except for the control character that JSON does not escape
    (TOML 1.0, "String").
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _line(setting: Setting, chosen: Chosen) -> str:
    value = setting.plain(chosen[setting.name])
    origin = chosen.origin(setting.name)
    if value is None:
        return f"# {setting.name} is not set"
    return f"{setting.name} = {toml_value(value)}   # {origin.source} {origin.place}".rstrip()

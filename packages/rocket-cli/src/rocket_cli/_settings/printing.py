"""The settings in force and their sources, as TOML and as JSON."""

from __future__ import annotations

import json

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


def _line(setting: Setting, chosen: Chosen) -> str:
    value = setting.plain(chosen[setting.name])
    origin = chosen.origin(setting.name)
    if value is None:
        return f"# {setting.name} is not set"
    # Numbers, booleans, strings and lists of strings have the same form in JSON and in TOML, except
    # for the control character that JSON does not escape (TOML 1.0, "String").
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"{setting.name} = {text}   # {origin.source} {origin.place}".rstrip()

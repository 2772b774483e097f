"""The pages on settings, made of their table: all of them, and the usual ones in a README."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_cli._settings.all_settings import SECTIONS, SETTINGS, USUAL
from rocket_cli._settings.kinds import Choice, Flag, Words
from systemtests.counterparts import UVICORN, UWSGI
from systemtests.generated import marked, row, table

if TYPE_CHECKING:
    from rocket_cli._settings.setting import Setting

PROBES = ("", "?")
"""Texts that hardly any setting accepts."""


def options() -> str:
    """Return the description of every setting, by section."""
    lines = []
    for title, settings in SECTIONS.items():
        lines += [f"## Section: {title}", ""]
        for each in settings:
            lines += _described(each)
    return "\n".join(lines)


def usual() -> str:
    """Return a table of the settings that most sites need."""
    rows = [
        row(f"`{each.name}`", marked(each.default_text), marked(each.description))
        for each in SETTINGS
        if each.name in USUAL
    ]
    return table("setting, default, meaning", *rows)


def _described(setting: Setting) -> list[str]:
    lines = [
        f"### {setting.name}",
        "",
        marked(setting.description),
        "",
        f"- Given by: {_option(setting)}, `{setting.variable}`, `{setting.name}` in the file",
        f"- Value: {accepted(setting)}",
    ]
    if type(setting.kind) is not Flag:
        wanted = "a list of strings" if setting.many else setting.kind.wanted
        lines.append(f"- In the file: {wanted}")
    if setting.default_text:
        lines.append(f"- Default: {marked(setting.default_text)}")
    if setting.needs:
        needed = " or ".join(f"[{each}](#{each})" for each in setting.needs)
        lines.append(f"- Needs: {needed}")
    elsewhere = {"gunicorn": setting.gunicorn}
    elsewhere["uvicorn"] = UVICORN.get(setting.name, "")
    elsewhere["uWSGI"] = UWSGI.get(setting.name, "")
    named = "; ".join(f"{each} {_code(names)}" for each, names in elsewhere.items() if names)
    if named:
        lines.append(f"- Elsewhere: {named}")
    return [*lines, ""]


def _option(setting: Setting) -> str:
    if setting.argument:
        return f"the argument `{setting.metavar}`"
    if type(setting.kind) is Flag:
        return f"`--{setting.name}` or `--no-{setting.name}`"
    return f"`--{setting.name} {setting.metavar}`"


def _code(names: str) -> str:
    """Return names as code."""
    return ", ".join(f"`{each}`" for each in names.split(", "))


def accepted(setting: Setting) -> str:
    """Return the values that a setting accepts, as its message for another value has them."""
    if isinstance(setting.kind, Flag):
        return "yes or no; `true` or `false` in the file and in the variable"
    if isinstance(setting.kind, Choice):
        return ", ".join(f"`{each}`" for each in setting.kind.words)
    for probe in PROBES:
        try:
            setting.kind.parse(probe)
        except ValueError as error:
            _, found, words = str(error).rpartition("use ")
            if found:
                several = "; several are separated by commas"
                return words + (several if isinstance(setting.kind, Words) else "")
    return f"a text ({setting.metavar})" if setting.metavar != "TEXT" else "a text"

"""The table of settings in the README of rocket-cli. Run as a program, this writes the table."""

from __future__ import annotations

from pathlib import Path

from rocket_cli._settings.all_settings import SECTIONS
from rocket_cli._settings.setting import Setting

README = Path(__file__).parents[2] / "packages/rocket-cli/README.md"
BEGIN = "<!-- settings: made by tests/systemtests/reference.py -->\n"
END = "<!-- end of settings -->\n"


def table() -> str:
    lines = [
        "",
        "| setting | value | default | meaning | in gunicorn |",
        "| --- | --- | --- | --- | --- |",
    ]
    for title, settings in SECTIONS.items():
        lines.append(f"| **{title}** | | | | |")
        lines += map(_row, settings)
    return "\n".join([*lines, "", ""])


def _row(setting: Setting) -> str:
    value = "yes or no" if bool in setting.kind.types else f"`{setting.metavar}`"
    names = ", ".join(f"`{each}`" for each in setting.gunicorn.split(", ") if each)
    cells = [
        f"`{setting.name}`",
        value.replace("|", "\\|"),
        setting.default_text,
        setting.description,
        names,
    ]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def written(text: str) -> str:
    """Return ``text`` with the table between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")

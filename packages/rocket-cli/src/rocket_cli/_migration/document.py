"""The new settings file, with the findings of the migration as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rocket_cli._migration.draft import Draft, Finding
from rocket_cli._migration.options import Fate
from rocket_cli._settings.all_settings import SECTIONS
from rocket_cli._settings.printing import toml_value

HEADINGS: Final = {
    Fate.LOST: "Not carried over:",
    Fate.CARRIED: "Check these:",
    Fate.NEEDLESS: "Not needed here:",
}
"""The headings of the findings, in the order of their urgency."""


def document(draft: Draft, source: str) -> str:
    """Return the text of the settings file."""
    blocks = [f"# Made by rocket-cli migrate from {_one_line(source)}."]
    for title, settings in SECTIONS.items():
        lines = []
        for each in settings:
            entry = draft.entries.get(each.name)
            if entry is not None:
                names = ", ".join(dict.fromkeys(given.name for given in entry.sources))
                line = f"{each.name} = {toml_value(entry.value)}"
                lines.append(f"{line}   # {_one_line(names)}")
        if lines:
            blocks.append("\n".join([f"# {title}", *lines]))
    for fate, heading in HEADINGS.items():
        found = [each for each in draft.findings if each.fate is fate]
        if found:
            comments = "\n#\n".join("\n".join(_comment(each)) for each in found)
            blocks.append(f"# {heading}\n#\n{comments}")
    return "\n\n".join(blocks) + "\n"


def _comment(finding: Finding) -> Iterator[str]:
    place = f"   ({finding.place})" if finding.place else ""
    yield f"# {_one_line(finding.subject + place)}"
    yield from textwrap.wrap(
        _one_line(finding.text),
        width=98,
        initial_indent="#   ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def messages(draft: Draft) -> list[str]:
    """Return the findings as lines for standard error, the most urgent ones first."""
    return [_message(each) for fate in HEADINGS for each in draft.findings if each.fate is fate]


def _message(finding: Finding) -> str:
    what = "check" if finding.fate is Fate.CARRIED else finding.fate.value
    place = f"{finding.place}: " if finding.place else ""
    return _one_line(f"{place}{what}: {finding.subject}: {finding.text}")


def _one_line(text: str) -> str:
    """Return a text without line breaks and control characters, which would end a comment."""
    return "".join(each if each.isprintable() else " " for each in text)


def summary(draft: Draft, output: Path | None) -> str:
    """Return a line with the numbers of settings and findings."""
    counts = [
        (sum(each.fate is Fate.CARRIED for each in draft.findings), "to check"),
        (sum(each.fate is Fate.LOST for each in draft.findings), "not carried over"),
        (sum(each.fate is Fate.NEEDLESS for each in draft.findings), "not needed"),
    ]
    settings = len(draft.entries)
    words = [f"{settings} setting{'' if settings == 1 else 's'} written"]
    if output is not None:
        words[0] += f" to {output}"
    return ", ".join(words + [f"{count} {text}" for count, text in counts if count])

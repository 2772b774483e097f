"""Sections of a changelog in the format of Keep a Changelog."""

from __future__ import annotations

import re
from datetime import date

from packaging.version import Version

from release.errors import ReleaseError

_HEADING = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$\n?", re.MULTILINE)
_ENTRY = re.compile(r"^- \S", re.MULTILINE)
UNRELEASED = "Unreleased"


def section(text: str, name: str) -> str:
    """Return what a changelog has below the heading of a version, or of ``Unreleased``.

    Raises `ReleaseError` if there is no such heading, or no entry below it.
    """
    headings = list(_HEADING.finditer(text))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading[1] == name:
            body = text[heading.end() : following.start() if following else len(text)].strip()
            if not _ENTRY.search(body):
                raise ReleaseError(f"has no entry for {name}")
            return body
    raise ReleaseError(f"has no heading ## [{name}]")


def released(text: str, version: Version, day: date) -> str:
    """Return a changelog in which the unreleased changes are those of a version of this day.

    Raises `ReleaseError` if there are none, or if the version has a heading already.
    """
    section(text, UNRELEASED)
    if any(heading[1] == str(version) for heading in _HEADING.finditer(text)):
        raise ReleaseError(f"has a heading for {version} already")
    heading = f"## [{UNRELEASED}]\n"
    return text.replace(heading, f"{heading}\n## [{version}] - {day.isoformat()}\n", 1)


def day_of(text: str, version: Version) -> date:
    """Return the day of a version; raise `ReleaseError` if the changelog has none for it."""
    for heading in _HEADING.finditer(text):
        if heading[1] == str(version) and heading[2]:
            return date.fromisoformat(heading[2])
    raise ReleaseError(f"has no date for {version}")

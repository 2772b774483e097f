"""The notes of a release, from the changelogs of its packages."""

from __future__ import annotations

from collections.abc import Sequence

from release import changelog
from release.errors import ReleaseError
from release.packages import Package


def notes(chosen: Sequence[Package]) -> str:
    """Return the notes in Markdown, the package that most users install first.

    Raises `ReleaseError` if the changelog of a package has nothing dated for its version.
    """
    parts = []
    for package in reversed(chosen):
        version = package.version()
        text = package.changelog_file.read_text(encoding="utf-8")
        try:
            day = changelog.day_of(text, version)
            body = changelog.section(text, str(version))
        except ReleaseError as error:
            raise ReleaseError(f"the changelog of {package.name} {error}") from None
        parts.append(
            f"## {package.name} {version}\n\n"
            f"{day.isoformat()}. `pip install --upgrade {package.name}=={version}`\n\n{body}\n"
        )
    return "\n".join(parts)

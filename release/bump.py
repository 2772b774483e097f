"""New versions: in the sources, in the requirements between the packages, in the changelogs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from release import changelog
from release.errors import ReleaseError
from release.packages import Package, packages


def wanted(words: Sequence[str], known: Sequence[Package]) -> dict[str, Version]:
    """Return the version for each package that is named: ``core 0.2.0 tls 0.2.1``, ``all 0.2.0``.

    Raises `ReleaseError` for anything else.
    """
    if not words or len(words) % 2:
        raise ReleaseError("give pairs of a package and its new version, or: all VERSION")
    by_name = {package.name.removeprefix("rocket-"): package for package in known}
    found: dict[str, Version] = {}
    for name, text in zip(words[::2], words[1::2], strict=True):
        if not re.fullmatch(r"\d+\.\d+\.\d+", text):
            raise ReleaseError(f"{text} is not a version of the form 1.2.3")
        short = name.removeprefix("rocket-")
        if short != "all" and short not in by_name:
            raise ReleaseError(f"there is no package {name}: choose from all, {', '.join(by_name)}")
        for package in by_name.values() if short == "all" else [by_name[short]]:
            if package.name in found:
                raise ReleaseError(f"{package.name} is named twice")
            found[package.name] = Version(text)
    return found


def compatible(version: Version) -> str:
    """Return the range of the versions that are compatible with a version: 0.2.3 and 0.2, not 0.3.

    Versions from 1.0.0 on are compatible until the next major version.
    """
    following = f"{version.major + 1}" if version.major else f"0.{version.minor + 1}"
    return f">={version.major}.{version.minor},<{following}"


def requiring(text: str, versions: Mapping[str, Version]) -> str:
    """Return a pyproject.toml that allows the new versions of other packages.

    A range that has the new version already stays as it is.
    """
    for name, version in versions.items():

        def replace(found: re.Match[str], version: Version = version) -> str:
            if version in SpecifierSet(found["range"]):
                return found[0]
            return found["name"] + compatible(version)

        pattern = rf'(?<=")(?P<name>{re.escape(name)}(?:\[[\w,-]+\])?)(?P<range>[<>=~!][^";]*)'
        text = re.sub(pattern, replace, text)
    return text


def require_clean(root: Path) -> None:
    """Raise `ReleaseError` unless everything is committed."""
    command = ["git", "status", "--porcelain"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"git: {done.stderr.strip()}")
    if done.stdout:
        changed = ", ".join(line[3:] for line in done.stdout.splitlines())
        raise ReleaseError(f"commit or remove what is not committed: {changed}")


def bump(root: Path, versions: Mapping[str, Version], day: date) -> list[str]:
    """Give packages new versions; return what was changed, a line for each file.

    Raises `ReleaseError` before anything is written if the tree has changes, a version does not
    grow, or a changelog has no unreleased changes.
    """
    require_clean(root)
    texts: dict[Path, str] = {}
    known = packages(root)
    for package in known:
        if (version := versions.get(package.name)) is not None:
            if version <= package.version():
                raise ReleaseError(
                    f"{package.name} has the version {package.version()}: {version} is not above it"
                )
            texts[package.version_file] = package.with_version(version)
            log = package.changelog_file
            try:
                texts[log] = changelog.released(log.read_text(encoding="utf-8"), version, day)
            except ReleaseError as error:
                raise ReleaseError(f"{log.relative_to(root)} {error}") from None
        texts[package.project_file] = requiring(
            package.project_file.read_text(encoding="utf-8"), versions
        )
    changed = []
    for path, text in texts.items():
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            changed.append(str(path.relative_to(root)))
    left = [
        f"{package.name} has a new range and no new version: note it in its changelog, and release "
        "it, too"
        for package in known
        if package.name not in versions and str(package.project_file.relative_to(root)) in changed
    ]
    return [*changed, *left]

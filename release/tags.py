"""Names of tags, each of which releases one package or all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from release.errors import ReleaseError
from release.packages import Package


def selected(tag: str, known: Sequence[Package]) -> list[Package]:
    """Return the packages that a tag releases: ``v0.2.0`` all, ``rocket-core-v0.2.1`` one.

    Raises `ReleaseError` if the tag is no such name, or the sources have another version.
    """
    found = re.fullmatch(r"(?:(rocket-\w+)-)?v(\d[\w.]*)", tag)
    chosen = [each for each in known if found is not None and found[1] in (None, each.name)]
    if found is None or not chosen:
        raise ReleaseError(f"{tag} is no name of a tag: use vVERSION or PACKAGE-vVERSION")
    for package in chosen:
        if str(package.version()) != found[2]:
            raise ReleaseError(f"{tag}: {package.name} has the version {package.version()}")
    return chosen


def tags_of(names: Sequence[str], known: Sequence[Package]) -> list[str]:
    """Return the tags that release these packages: a common one, or one for each."""
    versions = {str(package.version()) for package in known}
    if len(names) == len(known) and len(versions) == 1:
        return [f"v{versions.pop()}"]
    return [f"{each.name}-v{each.version()}" for each in known if each.name in names]

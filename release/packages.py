"""The packages of the repository, and what their files say about them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from release.errors import ReleaseError

ROOT = Path(__file__).parents[1]

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """A package in its folder ``packages/NAME``."""

    folder: Path

    @property
    def name(self) -> str:
        """The name of the distribution, such as rocket-core."""
        return self.folder.name

    @property
    def module(self) -> str:
        """The name to import, such as rocket_core."""
        return self.name.replace("-", "_")

    @property
    def project_file(self) -> Path:
        """The file with the metadata."""
        return self.folder / "pyproject.toml"

    @property
    def version_file(self) -> Path:
        """The module with the version."""
        return self.folder / "src" / self.module / "_version.py"

    @property
    def changelog_file(self) -> Path:
        """The list of changes."""
        return self.folder / "CHANGELOG.md"

    @cached_property
    def project(self) -> dict[str, Any]:
        """The table ``project`` of the metadata."""
        with self.project_file.open("rb") as file:
            table: dict[str, Any] = tomllib.load(file)["project"]
        return table

    @property
    def extras(self) -> list[str]:
        """The names of the extras."""
        return sorted(self.project.get("optional-dependencies", {}))

    def requirements(self) -> list[Requirement]:
        """Return everything that the package declares, for its extras, too."""
        extras = self.project.get("optional-dependencies", {}).values()
        lines = [*self.project["dependencies"], *(line for extra in extras for line in extra)]
        return [Requirement(line) for line in lines]

    def version(self) -> Version:
        """Return the version of the sources."""
        found = _VERSION.search(self.version_file.read_text(encoding="utf-8"))
        if found is None:
            raise ReleaseError(f"{self.version_file} has no version")
        return Version(found[1])

    def with_version(self, version: Version) -> str:
        """Return the text of the module with another version."""
        text = self.version_file.read_text(encoding="utf-8")
        return _VERSION.sub(f'__version__ = "{version}"', text)


def packages(root: Path = ROOT) -> list[Package]:
    """Return the packages in the order in which they are published.

    A package comes after the ones that it needs, so that it can be installed at any time.
    """
    found = {
        path.parent.name: Package(path.parent)
        for path in sorted(root.glob("packages/*/pyproject.toml"))
    }
    needs = {
        name: sorted({each.name for each in package.requirements()} & found.keys() - {name})
        for name, package in found.items()
    }
    return [found[name] for name in TopologicalSorter(needs).static_order()]

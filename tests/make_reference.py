"""Write the parts of pages that are made from the code. Run it as a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from systemtests import settings_reference
from systemtests.generated import filled
from systemtests.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

REFERENCE = ROOT / "docs" / "reference"

PAGES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    ROOT / "packages/rocket-cli/README.md": {"settings": settings_reference.usual},
    REFERENCE / "options.md": {"options": settings_reference.options},
}
"""What makes each part of each page."""


def written(page: Path) -> str:
    """Return the text of a page with all its parts as they are made now."""
    parts = {name: make() for name, make in PAGES[page].items()}
    return filled(page.read_text(encoding="utf-8"), parts)


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(written(each), encoding="utf-8")

"""The tables of a page, cell by cell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def rows(page: Path, heading: str = "") -> list[list[str]]:
    """Return the cells of the tables below a heading, up to the next one of its level or above.

    Without a heading, they are those of the whole page. Titles of columns are left out, and so are
    the marks of code around a cell.
    """
    text = page.read_text(encoding="utf-8")
    if heading:
        level = heading.split(" ", maxsplit=1)[0]
        _, found, text = text.partition(f"\n{heading}\n")
        assert found, f"{page.name} has no {heading!r}"
        text = re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [
        [_plain(cell) for cell in re.split(r"(?<!\\) \| ", line.strip("| "))]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    titles = {n - 1 for n, cells in enumerate(lines) if set(cells[0]) == {"-"}}
    return [cells for n, cells in enumerate(lines) if n not in titles and set(cells[0]) != {"-"}]


def _plain(cell: str) -> str:
    return cell[1:-1] if re.fullmatch(r"`[^`]+`", cell) else cell

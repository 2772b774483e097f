"""Parts of pages that are made from the code, each between two comments that name it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAKER = "tests/make_reference.py"
"""The program that writes the parts, as the comments name it."""


def begin(name: str) -> str:
    """Return the line that stands before the part."""
    return f"<!-- {name}: made by {MAKER} -->\n"


def end(name: str) -> str:
    """Return the line that stands behind the part."""
    return f"<!-- end of {name} -->\n"


def part(text: str, name: str) -> str:
    """Return what stands in a page between the two comments of the part."""
    _, _, rest = text.partition(begin(name))
    found, mark, _ = rest.partition(end(name))
    if not mark:
        raise LookupError(f"the page has no part {name!r}")
    return found


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Return the text of a page with the content of each of ``parts`` between its comments."""
    for name, content in parts.items():
        whole = begin(name) + part(text, name) + end(name)
        text = text.replace(whole, f"{begin(name)}\n{content}\n{end(name)}")
    return text


def marked(text: str) -> str:
    """Return a sentence of the help with the options in it as code.

    A site would make a dash of the two hyphens otherwise.
    """
    return re.sub(r"(?<![\w`-])--[a-z][a-z0-9-]*", r"`\g<0>`", text)


def row(*cells: str) -> str:
    """Return a row of a table. Bars in a cell are escaped."""
    escaped = [each.replace("|", "\\|") for each in cells]
    return f"| {' | '.join(escaped)} |".replace("|  |", "| |").replace("|  |", "| |")


def table(titles: str, *rows: str) -> str:
    """Return a table of rows, with the titles of its columns separated by commas."""
    columns = [each.strip() for each in titles.split(",")]
    return "\n".join([row(*columns), row(*["---"] * len(columns)), *rows, ""])

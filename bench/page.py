"""The page of the documentation: text by hand, and what is made of the results between marks.

The text by hand has no number that another run would change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import report, targets
from bench.errors import BenchError
from bench.results import Results

HEADLINE: Final = "hello-varied"
"""The workload that the page begins with."""


def write(results: Results, directory: Path, plots: Sequence[tuple[str, str]]) -> None:
    """Write results and the marked parts of README.md in ``directory``, where the plots are.

    Raises `BenchError` when README.md lacks a mark.
    """
    page = directory / "README.md"
    text = fill(page.read_text("utf-8"), results, plots)
    page.write_text(text, "utf-8")
    results.save(directory / "results.json")


def fill(text: str, results: Results, plots: Sequence[tuple[str, str]]) -> str:
    """The page with what is made of the results. Raises `BenchError` when it lacks a mark.

    Args:
        text: the page, with the marks.
        results: of a run.
        plots: the name of the file, and the caption, of each.
    """
    parts = {
        "headline": report.headline(results, HEADLINE),
        "machine": report.machine(results),
        "plots": "\n\n".join(f"![{caption}]({name})" for name, caption in plots),
        "tally": targets.tally(results),
        "targets": targets.table(results),
        "losses": report.losses_table(results, "wsgi", "rocket"),
        "core losses": report.losses_table(results, "core", "rocket-core"),
        "summary": "\n\n".join(report.summary(results, "wsgi", key) for key in ("cpu_us", "rate")),
        "push": report.sections(results, "push"),
        "core": report.sections(results, "core"),
        "wsgi": report.sections(results, "wsgi"),
    }
    for name, part in parts.items():
        text = replace(text, name, part)
    return text


def replace(text: str, name: str, part: str) -> str:
    """Put ``part`` between the two marks ``name``. Raises `BenchError` without the marks."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    replaced, count = re.subn(
        pattern, lambda _: f"{begin}\n\n{part}\n\n{end}", text, flags=re.DOTALL
    )
    if count != 1:
        raise BenchError(f"the page must have the marks {begin} and {end} once")
    return replaced

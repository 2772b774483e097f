"""The page of the documentation: text by hand, and what is made of the results between marks."""

from __future__ import annotations

import re
from pathlib import Path

from bench import report, targets
from bench.errors import BenchError
from bench.plots import draw_all
from bench.results import Results


def write(results: Results, directory: Path) -> None:
    """Write results, plots, and the marked parts of README.md in ``directory``.

    Raises `BenchError` when README.md lacks a mark.
    """
    page = directory / "README.md"
    plots = "\n\n".join(f"![{caption}]({name})" for name, caption in draw_all(results, directory))
    parts = {
        "machine": report.machine(results),
        "plots": plots,
        "targets": targets.table(results),
        "losses": report.losses_table(results, "wsgi"),
        "core losses": report.losses_table(results, "core"),
        "summary": "\n\n".join(report.summary(results, "wsgi", key) for key in ("rate", "cpu_us")),
        "core": report.sections(results, "core"),
        "wsgi": report.sections(results, "wsgi"),
    }
    text = page.read_text("utf-8")
    for name, part in parts.items():
        text = replace(text, name, part)
    page.write_text(text, "utf-8")
    results.save(directory / "results.json")


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

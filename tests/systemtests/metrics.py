"""The table of metrics in docs/observation; run as a program it writes that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily

from rocket_cli._admin.metric_table import DEFINITIONS, Definition

PAGE = Path(__file__).parents[2] / "docs/observation/README.md"
BEGIN = "<!-- metrics: made by tests/systemtests/metrics.py -->\n"
END = "<!-- end of metrics -->\n"

SUFFIXES: dict[Any, str] = {CounterMetricFamily: "_total", InfoMetricFamily: "_info"}
LABELS: dict[Any, tuple[str, ...]] = {InfoMetricFamily: ("version", "build", "python", "gil")}


def series(definition: Definition) -> set[str]:
    """The names under which Prometheus has it."""
    name = definition.name
    if definition.family is HistogramMetricFamily:
        return {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    return {name + SUFFIXES.get(definition.family, "")}


def table() -> str:
    lines = ["", "| metric | type | labels | |", "| --- | --- | --- | --- |"]
    for each in DEFINITIONS:
        kind = each.family.__name__.removesuffix("MetricFamily").lower()
        name = each.name + SUFFIXES.get(each.family, "")
        labels = LABELS.get(each.family, each.labels)
        shown = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}` | {kind} | {shown} | {each.help} |".replace("|  |", "| |"))
    return "\n".join([*lines, "", ""])


def written(text: str) -> str:
    """``text`` with the table between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""Tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bench.load import Figures
from bench.results import Result, Results, Row


@dataclass(frozen=True)
class Metric:
    """How a figure is shown, and whether more of it is better."""

    heading: str
    digits: int
    more_is_better: bool = False


METRICS: Final[dict[str, Metric]] = {
    "rate": Metric("requests/s", 0, more_is_better=True),
    "set_rate": Metric("SET/s", 0, more_is_better=True),
    "get_rate": Metric("GET/s", 0, more_is_better=True),
    "cpu_us": Metric("CPU µs/request", 1),
    "p50_ms": Metric("p50 ms", 2),
    "p99_ms": Metric("p99 ms", 2),
    "max_ms": Metric("longest ms", 1),
    "mixed_p50_ms": Metric("p50 ms beside slow", 2),
    "mixed_p99_ms": Metric("p99 ms beside slow", 2),
    "idle_opened": Metric("idle", 0, more_is_better=True),
    "idle_closed": Metric("of these closed by the server", 0),
    "idle_kib": Metric("KiB each", 2),
    "idle_cpu_ms": Metric("CPU ms/s at rest", 1),
    "beside_rate": Metric("requests/s beside idle", 0, more_is_better=True),
    "beside_p50_ms": Metric("p50 ms beside idle", 2),
    "beside_p99_ms": Metric("p99 ms beside idle", 2),
    "served": Metric("connections served", 0, more_is_better=True),
    "switches": Metric("switches/request", 2),
    "resident_mb": Metric("memory MB", 0),
    "calls": Metric("calls/request", 2),
    "errors": Metric("errors", 0),
}
"""Columns, in their order; `requests` is not among them. A key calls:NAME counts system calls."""

_CALLS: Final = "calls:"

TIE: Final = 0.02
"""Share by which two may differ without one being ahead."""

ALONE: Final = "application alone"
"""The row of the application without a server, which is not in the race."""


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def brief(figures: Figures) -> str:
    """Figures on a line."""
    return ", ".join(
        f"{METRICS[key].heading} {_number(value, METRICS[key].digits)}"
        for key, value in figures.items()
        if key in METRICS
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(numbers: int) -> str:
    """The line under the headings of one column of names and several of numbers."""
    return _line(["---", *["--:"] * numbers])


def _columns(result: Result) -> list[str]:
    found = {key for row in result.rows for key in row.keys}
    return [key for key in METRICS if key in found]


def table(result: Result) -> str:
    """The medians of all rows; then, for what is compared, the ratio of the first row to each."""
    columns = _columns(result)
    compared = [key for key in result.compared if key in columns] if len(result.rows) > 1 else []
    first = result.rows[0]
    headings = ["", *(METRICS[key].heading for key in columns)]
    headings += [f"{first.name} ÷ this: {METRICS[key].heading}" for key in compared]
    lines = [_line(headings), _rule(len(headings) - 1)]
    for row in result.rows:
        cells = [row.name]
        cells += [_number(row.median(key), METRICS[key].digits) for key in columns]
        cells += [_ratio(first, row, key) for key in compared]
        lines.append(_line(cells))
    failures = [f"- {row.name}: {row.failure}" for row in result.rows if row.failure]
    if failures:
        lines += ["", "Failed:", "", *failures]
    return "\n".join([*lines, *_calls_table(result)])


def _ratio(first: Row, row: Row, key: str) -> str:
    """The median of the rounds' ratios, and from where to where they go."""
    ratios = [] if row is first else first.ratios(row, key)
    if not ratios:
        return ""
    median = f"{statistics.median(ratios):.2f}"
    return median if len(ratios) == 1 else f"{median} ({min(ratios):.2f}-{max(ratios):.2f})"


def family(name: str) -> str:
    """What a row measured, without what sets it apart from another of the same."""
    return name.partition(",")[0]


@dataclass(frozen=True)
class Loss:
    """Something in which another is ahead of the first row.

    Attributes:
        result: of the workload.
        row: the other's.
        key: of the metric.
        lead: how many times as good it is, the median of the rounds; more than 1.
    """

    result: Result
    row: Row
    key: str
    lead: float


def losses(results: Results, group: str) -> list[Loss]:
    """All that is compared between servers in which another is ahead by more than `TIE`."""
    found = []
    for result in results.results:
        if result.group != group or result.options:
            continue
        first, *others = result.rows
        for key in result.compared:
            for row in others:
                foreign = family(row.name) not in (family(first.name), ALONE)
                ratios = first.ratios(row, key) if foreign else []
                if not ratios:
                    continue
                ratio = statistics.median(ratios)
                lead = 1 / ratio if METRICS[key].more_is_better else ratio
                if lead > 1 + TIE:
                    found.append(Loss(result, row, key, lead))
    return found


def losses_table(results: Results, group: str) -> str:
    """A line for each workload and metric in which another is ahead."""
    lines = [_line(["", "", "ahead, and how many times as good"]), _line(["---"] * 3)]
    together: dict[tuple[str, str], list[str]] = {}
    for loss in losses(results, group):
        ahead = together.setdefault((loss.result.title, loss.key), [])
        ahead.append(f"{loss.row.name} {loss.lead:.2f}")
    for (title, key), ahead in together.items():
        lines.append(_line([title, METRICS[key].heading, ", ".join(ahead)]))
    return "\n".join(lines) if together else "Nowhere, in this run."


def _calls_table(result: Result) -> list[str]:
    """System calls by name, one column for each row of ``result``."""
    names = {key for row in result.rows for key in row.keys if key.startswith(_CALLS)}
    if not names:
        return []
    rows = [row for row in result.rows if any(row.samples)]

    def order(key: str) -> float:
        return -max(row.median(key) or 0.0 for row in rows)

    lines = ["", _line(["call", *(row.name for row in rows)])]
    lines.append(_rule(len(rows)))
    for key in sorted(names, key=order):
        cells = [_number(row.median(key) or 0.0, 3) for row in rows]
        lines.append(_line([key.removeprefix(_CALLS), *cells]))
    return lines


def section(result: Result) -> str:
    """Heading, remark and table of a workload."""
    parts = [f"### {result.title}"]
    if result.remark:
        parts.append(result.remark)
    return "\n\n".join([*parts, table(result)])


def sections(results: Results, group: str) -> str:
    """All workloads of a group."""
    return "\n\n".join(section(each) for each in results.results if each.group == group)


def machine(results: Results) -> str:
    """What it was measured on, and what was measured."""
    versions = {
        family(row.name): row.version
        for result in results.results
        for row in result.rows
        if row.version
    }
    lines = [f"- {key}: {value}" for key, value in results.machine.items()]
    lines.append(f"- medians of {results.rounds} rounds; {results.seconds} s a sample")
    lines.append("- " + "; ".join(f"{name}: {version}" for name, version in versions.items()))
    return "\n".join(lines)


def summary(results: Results, group: str, key: str) -> str:
    """For each workload of a group, the ratio of its first row's metric to that of the others."""
    chosen = [
        each
        for each in results.results
        if each.group == group and key in each.compared and not each.options
    ]
    others = list(dict.fromkeys(row.name for each in chosen for row in each.rows[1:]))
    if not others:
        return ""
    lines = [_line([f"{METRICS[key].heading}, {chosen[0].rows[0].name} ÷ other", *others])]
    lines.append(_rule(len(others)))
    for result in chosen:
        first, *rest = result.rows
        ratios = {row.name: _ratio(first, row, key) for row in rest}
        lines.append(_line([result.title, *(ratios.get(name, "") for name in others)]))
    return "\n".join(lines)


def everything(results: Results) -> str:
    """All tables, for a terminal."""
    groups = dict.fromkeys(each.group for each in results.results)
    return "\n\n".join([machine(results), *(sections(results, group) for group in groups)])

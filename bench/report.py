"""Tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bench.load import Figures
from bench.results import Result, Results, Row
from bench.servers import COMPILED


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
    "message_rate": Metric("messages/s", 0, more_is_better=True),
    "message_cpu_us": Metric("CPU µs/message", 1),
    "broadcast_ms": Metric("CPU ms of the sending thread", 0),
    "last_ms": Metric("ms until the last client has it", 0),
    "threads": Metric("threads", 0),
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


def lead(ours: Row, other: Row, key: str) -> float | None:
    """How many times as good ours is as the other, the median of the rounds; None without any."""
    ratios = ours.ratios(other, key)
    if not ratios:
        return None
    ratio = statistics.median(ratios)
    if METRICS[key].more_is_better:
        return ratio
    return 1 / ratio if ratio else None


def builds(result: Result) -> list[Row]:
    """The rows that the others are compared with: of each build of ours that was measured.

    The compiled build is the first of them. Without any, it is the first row.
    """
    first = result.rows[0]
    names = (f"{family(first.name)}, {COMPILED}", family(first.name))
    found = {row.name: row for row in result.rows if any(row.samples)}
    return [found[name] for name in names if name in found] or [first]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(numbers: int) -> str:
    """The line under the headings of one column of names and several of numbers."""
    return _line(["---", *["--:"] * numbers])


def _columns(result: Result) -> list[str]:
    found = {key for row in result.rows for key in row.keys}
    return [key for key in METRICS if key in found]


def table(result: Result) -> str:
    """The medians of all rows; then, for what is compared, the ratio of each of ours to each."""
    columns = _columns(result)
    compared = [key for key in result.compared if key in columns] if len(result.rows) > 1 else []
    ours = builds(result)
    ratios = [(mine, key) for key in compared for mine in ours]
    headings = ["", *(METRICS[key].heading for key in columns)]
    headings += [f"{mine.name} ÷ this: {METRICS[key].heading}" for mine, key in ratios]
    lines = [_line(headings), _rule(len(headings) - 1)]
    for row in result.rows:
        cells = [row.name]
        cells += [_number(row.median(key), METRICS[key].digits) for key in columns]
        cells += [_ratio(mine, row, key) for mine, key in ratios]
        lines.append(_line(cells))
    failures = [f"- {row.name}: {row.failure}" for row in result.rows if row.failure]
    if failures:
        lines += ["", "Not measured, or not in all rounds:", "", *failures]
    return "\n".join([*lines, *_calls_table(result)])


def _ratio(ours: Row, row: Row, key: str) -> str:
    """The median of the rounds' ratios, and from where to where they go."""
    ratios = [] if row is ours else ours.ratios(row, key)
    if not ratios:
        return ""
    median = f"{statistics.median(ratios):.2f}"
    return median if len(ratios) == 1 else f"{median} ({min(ratios):.2f}-{max(ratios):.2f})"


def family(name: str) -> str:
    """What a row measured, without what sets it apart from another of the same."""
    return name.partition(",")[0]


@dataclass(frozen=True)
class Loss:
    """Something in which another is ahead of a build of ours.

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


def losses(results: Results, group: str, ours: str) -> list[Loss]:
    """All in which another is ahead of the row named ``ours``, by more than `TIE`."""
    found = []
    for result in results.results:
        if result.group != group or result.options:
            continue
        for mine in (row for row in builds(result) if row.name == ours):
            others = [row for row in result.rows if family(row.name) not in (family(ours), ALONE)]
            for key in result.compared:
                for row in others:
                    own_lead = lead(mine, row, key)
                    if own_lead and 1 / own_lead > 1 + TIE:
                        found.append(Loss(result, row, key, 1 / own_lead))
    return found


def losses_table(results: Results, group: str, ours: str) -> str:
    """A line for each workload and metric in which another is ahead of a build of ours.

    Args:
        results: of a run.
        group: which workloads.
        ours: the name of the pure build's rows.
    """
    names = (f"{ours}, {COMPILED}", ours)
    together: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name in names:
        for loss in losses(results, group, name):
            line = together.setdefault((loss.result.title, loss.key), {})
            line.setdefault(name, []).append(f"{loss.row.name} {loss.lead:.2f}")
    if not together:
        return "Nowhere, in this run."
    lines = [_line(["", "", *(f"ahead of {name}" for name in names)]), _line(["---"] * 4)]
    for (title, key), ahead in together.items():
        cells = [", ".join(ahead.get(name, [])) for name in names]
        lines.append(_line([title, METRICS[key].heading, *cells]))
    return "\n".join(lines)


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


TITLES: Final = {"rate": "requests/s", "cpu_us": "requests by processor time"}
"""What the leads in these metrics are called: more is better in all of them."""


def summary(results: Results, group: str, key: str) -> str:
    """For each workload of a group, the leads over others: of the compiled build, then the pure.

    Only those are columns that are compared in several workloads.
    """
    chosen = [
        each
        for each in results.results
        if each.group == group and key in each.compared and not each.options
    ]
    counts: dict[str, int] = {}
    for result in chosen:
        for row in result.rows:
            if family(row.name) != family(result.rows[0].name) and any(row.samples):
                counts[row.name] = counts.get(row.name, 0) + 1
    others = [name for name, count in counts.items() if count > 1 or len(chosen) == 1]
    if not others:
        return ""
    lines = [_line([TITLES[key], *others]), _rule(len(others))]
    for result in chosen:
        rows = {row.name: row for row in result.rows}
        cells = [_leads(result, rows[name], key) if name in rows else "" for name in others]
        lines.append(_line([result.title, *cells]))
    return "\n".join(lines)


def _leads(result: Result, other: Row, key: str) -> str:
    """The leads of our builds over another, one behind the other."""
    found = [lead(mine, other, key) for mine in builds(result)]
    return " / ".join(f"{each:.2f}" for each in found if each is not None)


def headline(results: Results, name: str) -> str:
    """Sentences about one workload, by which to judge all at once."""
    result = next((each for each in results.results if each.name == name), None)
    if result is None:
        return "The headline workload was not measured in this run."
    lines = [f"With {result.title[0].lower() + result.title[1:]}:", ""]
    for mine in builds(result):
        leads = [
            f"{found:.2f} times {row.name}"
            for row in result.rows
            if family(row.name) not in (family(mine.name), "WSGI loop", ALONE)
            if (found := lead(mine, row, "cpu_us")) is not None
        ]
        cost = _number(mine.median("cpu_us"), METRICS["cpu_us"].digits)
        rate = _number(mine.median("rate"), 0)
        line = f"- **{mine.name}**: {rate} requests/s, {cost} µs of processor time for a request"
        against = f"; requests by processor time {', '.join(leads)}" if leads else ""
        lines.append(f"{line}{against}.")
    return "\n".join(lines)


def everything(results: Results) -> str:
    """All tables, for a terminal."""
    groups = dict.fromkeys(each.group for each in results.results)
    return "\n\n".join([machine(results), *(sections(results, group) for group in groups)])

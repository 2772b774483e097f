"""What Rocket is to reach, and whether it did."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.report import ALONE, METRICS, family, losses
from bench.results import Result, Results, Row

OURS: Final = "rocket"
THREADED_PYTHON: Final = ("waitress", "cheroot", "gunicorn gthread", "rocket3")


@dataclass(frozen=True)
class Outcome:
    """What was measured, in words, and whether that is the target."""

    measured: str
    reached: bool


Check = Callable[[Results], Outcome | None]
"""None: that was not measured."""


@dataclass(frozen=True)
class Target:
    """One target, in words, and how it is checked."""

    text: str
    check: Check


def _result(results: Results, name: str) -> Result | None:
    return next((each for each in results.results if each.name == name), None)


def _row(result: Result | None, name: str) -> Row | None:
    rows = [] if result is None else result.rows
    return next((each for each in rows if each.name == name and any(each.samples)), None)


def _lead(ours: Row, other: Row, key: str) -> float | None:
    """How many times as good ours is as the other, the median of the rounds."""
    ratios = ours.ratios(other, key)
    if not ratios:
        return None
    ratio = statistics.median(ratios)
    return ratio if METRICS[key].more_is_better else 1 / ratio


def ahead(workload: str, key: str, least: float, others: Callable[[str], bool]) -> Check:
    """At least ``least`` times as good as the best of ``others`` in one workload."""

    def check(results: Results) -> Outcome | None:
        result = _result(results, workload)
        ours = _row(result, OURS)
        if result is None or ours is None:
            return None
        leads = [
            (lead, row.name)
            for row in result.rows
            if row is not ours and others(row.name)
            if (lead := _lead(ours, row, key)) is not None
        ]
        if not leads:
            return None
        lead, name = min(leads)
        return Outcome(f"{lead:.2f} ({name})", lead >= least)

    return check


Cell = tuple[str, str, str]
"""Where a figure is: the workload, the row, the metric."""


def times(first: Cell, second: Cell, *, least: float = 0.0, most: float = math.inf) -> Check:
    """The first figure is the second, times ``least`` to ``most``.

    Figures of one workload are compared round by round, those of two by their medians.
    """

    def check(results: Results) -> Outcome | None:
        (workload, one, key), (other_workload, other, other_key) = first, second
        row = _row(_result(results, workload), one)
        other_row = _row(_result(results, other_workload), other)
        if row is None or other_row is None:
            return None
        if workload == other_workload:
            ratios = row.ratios(other_row, key, other_key)
        else:
            ratios = [(row.median(key) or 0.0) / (other_row.median(other_key) or math.inf)]
        if not ratios:
            return None
        ratio = statistics.median(ratios)
        return Outcome(f"{ratio:.2f}", least <= ratio <= most)

    return check


def nobody_ahead(names: Sequence[str]) -> Check:
    """In no workload is one of these ahead, in rate or, at equal load, in latency."""
    keys = {"rate", "p99_ms", "mixed_p99_ms"}

    def check(results: Results) -> Outcome | None:
        compared = [each for each in results.results if each.group == "wsgi" and not each.options]
        count = sum(bool(keys.intersection(each.compared)) for each in compared)
        if not count:
            return None
        found = [
            f"{loss.row.name} {loss.lead:.2f} in {loss.result.name}"
            for loss in losses(results, "wsgi")
            if loss.row.name in names and loss.key in keys
        ]
        return Outcome(f"{', '.join(found) or 'nobody'}, of {count} workloads", not found)

    return check


def _is_granian(name: str) -> bool:
    """With as many threads, and any other options."""
    return family(name) == "granian" and name != "granian, 1 thread"


def _is_anyone(name: str) -> bool:
    return name != "WSGI loop"


def _equal_load(rate: int) -> Target:
    return Target(
        f"p99 at {rate:,} requests a second: the lowest of all",
        ahead(f"load-{rate}", "p99_ms", 1.0, _is_anyone),
    )


def _connections(count: int, name: str) -> Target:
    return Target(
        f"requests/s at {count:,} connections: at least 0.85 of those at 32",
        times((name, OURS, "rate"), ("hello", OURS, "rate"), least=0.85),
    )


_TITLES: Final = {"rate": "requests/s", "cpu_us": "requests by processor time"}

TARGETS: Final = (
    *(
        Target(
            f"hello, {title}: 1.2 times granian with as many threads, whatever its other options",
            ahead("hello-granian", key, 1.2, _is_granian),
        )
        for key, title in _TITLES.items()
    ),
    *(
        Target(
            f"hello, {title}: 6 times the best of waitress, cheroot and gunicorn",
            ahead("hello", key, 6.0, lambda name: name in THREADED_PYTHON[:3]),
        )
        for key, title in _TITLES.items()
    ),
    _connections(256, "hello-256"),
    _connections(2000, "hello-2000"),
    _equal_load(1000),
    _equal_load(2500),
    Target(
        "no workload in which a threaded Python server is ahead by more than 2 %",
        nobody_ahead(THREADED_PYTHON),
    ),
    Target(
        "the Flask page: at most 1.05 times the processor time of its bare call",
        times(("flask", OURS, "cpu_us"), ("flask", ALONE, "cpu_us"), most=1.05),
    ),
    Target(
        "the Flask page, requests/s: at least 0.95 times its bare call, in a loop on one thread",
        times(("flask", OURS, "rate"), ("flask", ALONE, "rate"), least=0.95),
    ),
    Target(
        "fast requests beside slow ones: p99 at most 2 times that alone",
        times(("mixed", OURS, "mixed_p99_ms"), ("mixed", OURS, "p99_ms"), most=2.0),
    ),
    Target(
        "two processes: at least 1.8 times one",
        times(
            ("processes", f"{OURS}, 2 processes", "rate"),
            ("processes", OURS, "rate"),
            least=1.8,
        ),
    ),
    *(
        Target(
            f"TLS on kept connections, {title}: 5 times gunicorn",
            ahead("tls", key, 5.0, lambda name: name == "gunicorn gthread"),
        )
        for key, title in _TITLES.items()
    ),
    Target(
        "TLS on kept connections, requests by processor time: no less than granian",
        ahead("tls", "cpu_us", 1.0, _is_granian),
    ),
)


def table(results: Results) -> str:
    """Every target, what was measured, and whether it is reached."""
    lines = ["| target | measured | |", "| --- | --- | --- |"]
    for target in TARGETS:
        outcome = target.check(results)
        if outcome is None:
            lines.append(f"| {target.text} | - | not measured |")
        else:
            verdict = "reached" if outcome.reached else "**missed**"
            lines.append(f"| {target.text} | {outcome.measured} | {verdict} |")
    return "\n".join(lines)

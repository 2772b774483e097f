"""What Rocket is to reach, and whether it did.

Requests by processor time are the inverse of the processor time for a request.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.report import ALONE, METRICS, family, lead, losses
from bench.results import Result, Results, Row
from bench.servers import COMPILED

PURE: Final = "rocket"
OURS: Final = f"{PURE}, {COMPILED}"
"""The build that the targets are for, unless they say otherwise."""

THREADED_PYTHON: Final = ("waitress", "cheroot", "gunicorn gthread", "rocket3")


@dataclass(frozen=True)
class Outcome:
    """What was measured, in words, and whether that is the target."""

    measured: str
    reached: bool


Check = Callable[[Results], Outcome | None]
"""None: that was not measured."""

Named = Callable[[str], bool]
"""Whether the row of this name is meant."""


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


def _worst(
    results: Results, workload: str, ours: str, key: str, others: Named
) -> tuple[float, str] | None:
    """The least lead of ours over the others, and over which; None if that was not measured."""
    result = _result(results, workload)
    mine = _row(result, ours)
    if result is None or mine is None:
        return None
    leads = [
        (found, row.name)
        for row in result.rows
        if family(row.name) != family(ours) and others(row.name)
        if (found := lead(mine, row, key)) is not None
    ]
    return min(leads, default=None)


def ahead(
    workload: str, least: float, others: Named, *, key: str = "cpu_us", ours: str = OURS
) -> Check:
    """At least ``least`` times as good as the best of ``others`` in one workload."""

    def check(results: Results) -> Outcome | None:
        worst = _worst(results, workload, ours, key, others)
        if worst is None:
            return None
        return Outcome(f"{worst[0]:.2f} ({worst[1]})", worst[0] >= least)

    return check


def at_most(workload: str, most: float, others: Named) -> Check:
    """At most ``most`` times the processor time of the cheapest of ``others``."""

    def check(results: Results) -> Outcome | None:
        worst = _worst(results, workload, OURS, "cpu_us", others)
        if worst is None:
            return None
        ratio = 1 / worst[0]
        return Outcome(f"{ratio:.2f} ({worst[1]})", ratio <= most)

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


def no_more(cell: Cell, most: float, *, beyond: Cell | None = None) -> Check:
    """A figure is at most ``most``; or, with ``beyond``, at most that more than another figure."""

    def check(results: Results) -> Outcome | None:
        found = 0.0
        for sign, each in ((1, cell), (-1, beyond)):
            if each is None:
                continue
            row = _row(_result(results, each[0]), each[1])
            median = None if row is None else row.median(each[2])
            if median is None:
                return None
            found += sign * median
        return Outcome(f"{found:.{METRICS[cell[2]].digits}f}", found <= most)

    return check


def nobody_ahead(names: Sequence[str]) -> Check:
    """In no workload is one of these ahead, in rate or, at equal load, in latency."""
    keys = {"rate", "p99_ms", "mixed_p99_ms"}

    def check(results: Results) -> Outcome | None:
        compared = [
            each
            for each in results.results
            if each.group == "wsgi" and not each.options and _row(each, OURS)
        ]
        count = sum(bool(keys.intersection(each.compared)) for each in compared)
        if not count:
            return None
        found = [
            f"{loss.row.name} {loss.lead:.2f} in {loss.result.name}"
            for loss in losses(results, "wsgi", OURS)
            if loss.row.name in names and loss.key in keys
        ]
        return Outcome(f"{', '.join(found) or 'none'}, of {count} workloads", not found)

    return check


# -- which rows are meant ----------------------------------------------------------------------


def is_granian(name: str) -> bool:
    """With as many threads, whatever its other options, while the application serves."""
    return family(name) == "granian" and name not in ("granian, 1 thread", "granian, mount")


def one_of(*names: str) -> Named:
    """Those of these names."""
    return lambda name: name in names


def _is_library(name: str) -> bool:
    return not name.startswith("granian")


def _is_server(name: str) -> bool:
    return name not in (ALONE, "WSGI loop")


# -- the table ---------------------------------------------------------------------------------


def _granian(title: str, workload: str, least: float) -> Target:
    return Target(
        f"{title}: {least:g} times granian with its best options",
        ahead(workload, least, is_granian),
    )


def _equal_load(rate: int) -> Target:
    return Target(
        f"p99 at {rate:,} requests a second: the lowest of all servers",
        ahead(f"load-{rate}", 1.0, _is_server, key="p99_ms"),
    )


TARGETS: Final = (
    _granian("hello", "hello-granian", 2.0),
    Target("hello: 0.8 times bjoern", ahead("hello", 0.8, one_of("bjoern"))),
    Target(
        "hello: 15 times the best of waitress, cheroot and gunicorn",
        ahead("hello", 15.0, one_of(*THREADED_PYTHON[:3])),
    ),
    _granian("each request another", "varied-granian", 1.5),
    *(
        Target(f"each request another: 0.6 times {name}", ahead("hello-varied", 0.6, one_of(name)))
        for name in ("bjoern", "fastpysgi")
    ),
    _granian("POST of 1 KiB", "post-1k", 1.2),
    _granian("64 KiB", "body-64k", 1.2),
    _granian("1 MiB", "body-1m", 1.2),
    _granian("a file of 100 KiB from the application", "static", 1.2),
    _granian("ten parts", "chunks", 1.2),
    Target(
        "no threaded Python server ahead by more than 2 % in any workload, in requests/s or p99",
        nobody_ahead(THREADED_PYTHON),
    ),
    _granian("TLS on kept connections", "tls", 1.2),
    _granian("new connections", "fresh", 1.0),
    _granian("new TLS connections", "tls-fresh", 0.55),
    Target(
        "new TLS connections: at most 1.15 times the processor time of the cheapest bare TLS loop",
        at_most("tls-fresh", 1.15, lambda name: family(name) == "TLS loop"),
    ),
    Target(
        "2,000 connections: at least 0.85 times the requests/s of 32",
        times(("hello-2000", OURS, "rate"), ("hello-varied", OURS, "rate"), least=0.85),
    ),
    _equal_load(1000),
    _equal_load(2500),
    Target(
        "the Flask page: at most 1.15 times the processor time of its bare call",
        at_most("flask", 1.15, one_of(ALONE)),
    ),
    Target(
        "the Flask page: at least 0.97 times the requests/s of its bare call",
        times(("flask", OURS, "rate"), ("flask", ALONE, "rate"), least=0.97),
    ),
    Target(
        "pure build, each request another: 0.95 times granian with its best options",
        ahead("varied-granian", 0.95, is_granian, ours=PURE),
    ),
    Target(
        "pure build, new connections: 0.7 times granian with its best options",
        ahead("fresh", 0.7, is_granian, ours=PURE),
    ),
    *(
        Target(
            f"echo on 100 websockets, {what}: ahead of every Python library measured, "
            f"{'the pure build' if ours is PURE else 'compiled'}",
            ahead("echo", 1.0, _is_library, key=key, ours=ours),
        )
        for ours in (OURS, PURE)
        for key, what in (("message_rate", "messages/s"), ("message_cpu_us", "processor time"))
    ),
    *(
        target
        for kind, name in (("websocket", "silent websockets"), ("events", "event streams"))
        for target in (
            Target(
                f"10,000 {name}: at most 14 threads in the process",
                no_more((f"waiting-{kind}", OURS, "threads"), 14),
            ),
            Target(
                f"10,000 {name}: at most 4 KiB each beyond a connection, in the pure build",
                no_more(
                    (f"waiting-{kind}", PURE, "idle_kib"),
                    4.0,
                    beyond=("waiting-plain", PURE, "idle_kib"),
                ),
            ),
            Target(
                f"10,000 {name}: no processor time at rest",
                no_more((f"waiting-{kind}", OURS, "idle_cpu_ms"), 0.0),
            ),
            Target(
                f"10,000 {name}: at most 1.2 times the p99 of ordinary requests alone",
                times(
                    (f"waiting-{kind}", OURS, "beside_p99_ms"),
                    (f"waiting-{kind}", OURS, "p99_ms"),
                    most=1.2,
                ),
            ),
            Target(
                f"a broadcast to 10,000 {name.removeprefix('silent ')}: at most 700 ms of one "
                "thread, in the pure build",
                no_more((f"broadcast-{kind}", PURE, "broadcast_ms"), 700),
            ),
            Target(
                f"a broadcast to 10,000 {name.removeprefix('silent ')}: at most 3 times the p99 "
                "of ordinary requests alone",
                times(
                    (f"broadcast-{kind}", OURS, "beside_p99_ms"),
                    (f"broadcast-{kind}", OURS, "p99_ms"),
                    most=3.0,
                ),
            ),
        )
    ),
)
"""Where nothing else is said, of requests by processor time, and for the compiled build."""


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


def tally(results: Results) -> str:
    """How many of the targets are reached, and which are missed, in sentences."""
    outcomes = [(target, target.check(results)) for target in TARGETS]
    measured = [(target, outcome) for target, outcome in outcomes if outcome is not None]
    missed = [f"- {target.text}: {each.measured}" for target, each in measured if not each.reached]
    reached = len(measured) - len(missed)
    first = f"Of {len(TARGETS)} targets, {len(measured)} were measured and {reached} reached."
    return "\n".join([first, *(["", "Missed:", "", *missed] if missed else [])])

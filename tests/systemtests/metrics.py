"""The parts of the page on metrics that are made from the code."""

from __future__ import annotations

from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily

from rocket_cli._admin.metric_table import BUCKETS, DEFINITIONS, Definition
from rocket_cli._settings.setting import Part
from rocket_cli._settings.table.timeouts import TIMEOUTS
from rocket_core import CloseReason, State, _state
from systemtests.enum_docs import documented
from systemtests.generated import row, table

SUFFIXES: dict[Any, str] = {CounterMetricFamily: "_total", InfoMetricFamily: "_info"}
LABELS: dict[Any, tuple[str, ...]] = {InfoMetricFamily: ("version", "build", "python", "gil")}


def series(definition: Definition) -> set[str]:
    """Return the names under which Prometheus has a metric."""
    name = definition.name
    if definition.family is HistogramMetricFamily:
        return {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    return {name + SUFFIXES.get(definition.family, "")}


def metrics() -> str:
    """Return the table of all metrics."""
    rows = []
    for each in DEFINITIONS:
        kind = each.family.__name__.removesuffix("MetricFamily").lower()
        name = each.name + SUFFIXES.get(each.family, "")
        labels = LABELS.get(each.family, each.labels)
        shown = ", ".join(f"`{label}`" for label in labels)
        rows.append(row(f"`{name}`", kind, shown, each.help))
    return table("metric, type, labels, meaning", *rows)


def states() -> str:
    """Return the table of the states of connections."""
    described = documented(State, _state)
    del described[State.CLOSED.value]  # of which no connection is open
    return table("state, meaning", *(row(f"`{each}`", described[each]) for each in described))


def reasons() -> str:
    """Return the table of the reasons for which connections are closed."""
    rows = []
    options = {each.keyword: each.name for each in TIMEOUTS if each.part is Part.TIMEOUTS}
    for reason, meaning in documented(CloseReason, _state).items():
        text = meaning
        for keyword, name in options.items():
            text = text.replace(f"`Timeouts.{keyword}`", f"[{name}](options.md#{name})")
        rows.append(row(f"`{reason}`", text.replace("`Timeouts`", "the time-outs")))
    return table("reason, meaning", *rows)


def buckets() -> str:
    """Return the limits of the buckets of histograms, in seconds."""
    return ", ".join(f"{each / 1e6:.6f}".rstrip("0").rstrip(".") for each in BUCKETS) + "\n"

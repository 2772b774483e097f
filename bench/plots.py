"""Plots, as SVG and PNG, on a background of their own: pages are dark for some."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.report import builds, family, lead
from bench.results import Result, Results, Row
from bench.servers import COMPILED

_OURS: Final = "#d55e00"
_OURS_PURE: Final = "#f0a878"
_OTHERS: Final = "#9aa5ad"
_STYLES: Final = {
    "granian": ("#0072b2", "s"),
    "uWSGI": ("#009e73", "^"),
    "waitress": ("#cc79a7", "D"),
    "cheroot": ("#56b4e9", "v"),
    "gunicorn gthread": ("#e69f00", "P"),
    "rocket3": ("#7a5195", "X"),
    "bjoern": ("#000000", "*"),
    "fastpysgi": ("#8c564b", "p"),
    "pyruvate": ("#bcbd22", "h"),
    "WSGI loop": ("#7f7f7f", "|"),
}
"""Colour and mark of each of the others: told apart by either alone, whoever looks at them."""

_WIDTH: Final = 8.0
_CONNECTIONS: Final = {"hello-1": 1, "hello-varied": 32, "hello-256": 256, "hello-2000": 2000}
_LOADS: Final = {"load-1000": "1,000 requests a second", "load-2500": "2,500 requests a second"}

# The same results make the same files.
mpl.rcParams["svg.hashsalt"] = "rocket"


def draw_all(results: Results, directory: Path) -> list[tuple[str, str]]:
    """Draw what the results allow into ``directory``: (name of the SVG file, caption) of each."""
    found = {each.name: each for each in results.results}
    drawn: list[tuple[str, str]] = []

    def keep(figure: Figure | None, name: str, caption: str) -> None:
        if figure is None:
            return
        figure.savefig(directory / f"{name}.svg", facecolor="white", metadata={"Date": None})
        figure.savefig(
            directory / f"{name}.png", facecolor="white", dpi=110, metadata={"Software": None}
        )
        drawn.append((f"{name}.svg", caption))

    keep(
        _bars(found.get("hello-varied")),
        "hello",
        "13 bytes on 32 connections, each request another",
    )
    keep(
        _overview(results),
        "overview",
        "Requests by processor time, both builds of Rocket as a multiple of each other's",
    )
    keep(_latencies(found), "latency", "Latency at the same load for all")
    keep(_by_connections(found), "connections", "Requests/s by the number of connections")
    keep(_by_threads(found.get("threads")), "threads", "Requests/s by the number of threads")
    keep(_bars(found.get("flask")), "flask", "A Flask page on 32 connections")
    keep(_bars(found.get("core-fixed")), "core", "rocket-core: a fixed response")
    return drawn


def _figure(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, index + 1) for index in range(columns)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
    return figure, axes


def _is_ours(name: str) -> bool:
    return family(name) in {"rocket", "rocket-core"}


def _our_colour(name: str) -> str:
    """The compiled build is darker than the pure one."""
    return _OURS if COMPILED in name.split(", ") else _OURS_PURE


def _values(row: Row, key: str) -> list[float]:
    return [sample[key] for sample in row.samples if sample and key in sample]


def _bar(axis: Axes, rows: list[Row], key: str, title: str) -> None:
    """Medians, and lines from the least to the largest sample."""
    medians = [row.median(key) or 0.0 for row in rows]
    spans = [_values(row, key) or [0.0] for row in rows]
    below = [median - min(span) for median, span in zip(medians, spans, strict=True)]
    above = [max(span) - median for median, span in zip(medians, spans, strict=True)]
    axis.barh(
        [row.name for row in rows],
        medians,
        xerr=[below, above],
        color=[_our_colour(row.name) if _is_ours(row.name) else _OTHERS for row in rows],
        error_kw={"linewidth": 1},
    )
    digits = 0 if max(medians) >= 100 else 1
    for index, (median, span) in enumerate(zip(medians, spans, strict=True)):
        text = f"  {median:,.{digits}f}"
        axis.text(max(median, *span), index, text, va="center", fontsize=7)
    axis.margins(x=0.15)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=10)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _bars(result: Result | None) -> Figure | None:
    """Requests/s, and processor time."""
    rows = [] if result is None else [row for row in result.rows if row.median("rate")]
    if not rows:
        return None
    figure, axes = _figure(2, 1.0 + 0.32 * len(rows))
    _bar(axes[0], rows, "rate", "requests/s (more is better)")
    _bar(axes[1], rows, "cpu_us", "CPU µs per request (less is better)")
    axes[1].set_yticks([])
    return figure


def _latencies(found: dict[str, Result]) -> Figure | None:
    """The p99 at each of the loads that are the same for all."""
    results = {
        title: [row for row in found[name].rows if row.median("p99_ms")]
        for name, title in _LOADS.items()
        if name in found
    }
    results = {title: rows for title, rows in results.items() if rows}
    if not results:
        return None
    longest = max(map(len, results.values()))
    figure, axes = _figure(len(results), 1.0 + 0.32 * longest)
    for axis, (title, rows) in zip(axes, results.items(), strict=True):
        _bar(axis, rows, "p99_ms", f"p99 ms at {title} (less is better)")
    return figure


def _overview(results: Results) -> Figure | None:
    """A line for each workload and build, and on it a mark for each of the others."""
    chosen = [
        (each, mine)
        for each in results.results
        if each.group == "wsgi" and "cpu_us" in each.compared and not each.options
        for mine in builds(each)
    ]
    if not chosen:
        return None
    figure, (axis,) = _figure(1, 1.6 + 0.26 * len(chosen))
    for name, (colour, mark) in _STYLES.items():
        points = [
            (found, index)
            for index, (result, mine) in enumerate(chosen)
            for row in result.rows
            if row.name == name
            if (found := lead(mine, row, "cpu_us")) is not None
        ]
        if points:
            leads, places = zip(*points, strict=True)
            axis.scatter(leads, places, color=colour, marker=mark, s=30, label=name)
    axis.axvline(1, color=_OURS, linewidth=1.5)
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    ticks = [each for each in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= each <= high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    labels = [
        f"{result.title}: {mine.name}" if mine is builds(result)[0] else mine.name
        for result, mine in chosen
    ]
    axis.set_yticks(range(len(chosen)), labels)
    axis.invert_yaxis()
    axis.grid(axis="y", color="#e5e8ea")
    axis.set_axisbelow(True)
    axis.set_xlabel("requests by processor time: Rocket ÷ the other", fontsize=9)
    figure.legend(fontsize=8, frameon=False, ncols=4, loc="outside upper center")
    return figure


def _by_connections(found: dict[str, Result]) -> Figure | None:
    lines: dict[str, list[tuple[int, float]]] = {}
    for name, count in _CONNECTIONS.items():
        for row in found[name].rows if name in found else []:
            if rate := row.median("rate"):
                lines.setdefault(row.name, []).append((count, rate))
    return _lines(lines, "connections")


def _by_threads(result: Result | None) -> Figure | None:
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in [] if result is None else result.rows:
        name, _, threads = row.name.rpartition(", ")
        if rate := row.median("rate"):
            lines.setdefault(name, []).append((int(threads.split()[0]), rate))
    return _lines(lines, "threads")


def _lines(lines: dict[str, list[tuple[int, float]]], label: str) -> Figure | None:
    if not lines:
        return None
    figure, (axis,) = _figure(1, 4.2)
    for name, points in lines.items():
        colour, mark = _STYLES.get(name, (_our_colour(name), "o"))
        width = 2.5 if _is_ours(name) else 1.2
        axis.plot(
            *zip(*points, strict=True),
            color=colour,
            marker=mark,
            markersize=6,
            linewidth=width,
            label=name,
        )
    axis.set_xscale("log")
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.grid(axis="y", color="#e5e8ea")
    axis.set_axisbelow(True)
    axis.set_xlabel(label, fontsize=9)
    axis.set_ylabel("requests/s", fontsize=9)
    figure.legend(fontsize=8, frameon=False, ncols=5, loc="outside upper center")
    return figure

"""Plots, as SVG and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.results import Result, Results, Row

_OURS: Final = "#c0392b"
_OTHERS: Final = "#7f8c8d"
_LINES: Final = (
    "#2c3e50",
    "#2980b9",
    "#16a085",
    "#27ae60",
    "#8e44ad",
    "#95a5a6",
    "#f39c12",
    "#1abc9c",
)
"""Colours of the others' lines, none of them near to red."""
_WIDTH: Final = 8.0

_CONNECTIONS: Final = {"hello-1": 1, "hello": 32, "hello-256": 256, "hello-2000": 2000}

# The same results make the same files.
mpl.rcParams["svg.hashsalt"] = "rocket"


def draw_all(results: Results, directory: Path) -> list[tuple[str, str]]:
    """Draw what the results allow into ``directory``: (name of the SVG file, caption) of each."""
    found = {each.name: each for each in results.results}
    drawn: list[tuple[str, str]] = []

    def keep(figure: Figure | None, name: str, caption: str) -> None:
        if figure is None:
            return
        figure.savefig(directory / f"{name}.svg", metadata={"Date": None})
        figure.savefig(directory / f"{name}.png", dpi=110, metadata={"Software": None})
        drawn.append((f"{name}.svg", caption))

    keep(_bars(found.get("hello")), "hello", "13 bytes on 32 connections")
    keep(_bars(found.get("flask")), "flask", "A Flask page on 32 connections")
    keep(_bars(found.get("core-fixed")), "core", "rocket-core: a fixed response")
    keep(_by_connections(found), "connections", "Requests/s by the number of connections")
    keep(_by_threads(found.get("threads")), "threads", "Requests/s by the number of threads")
    return drawn


def _figure(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, index + 1) for index in range(columns)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _is_ours(name: str) -> bool:
    return name.partition(",")[0] in {"rocket", "rocket-core"}


def _values(row: Row, key: str) -> list[float]:
    return [sample[key] for sample in row.samples if sample and key in sample]


def _bars(result: Result | None) -> Figure | None:
    """Medians, and lines from the least to the largest sample."""
    rows = [] if result is None else [row for row in result.rows if row.median("rate")]
    if not rows:
        return None
    figure, axes = _figure(2, 1.0 + 0.32 * len(rows))
    for axis, key, title in zip(
        axes, ("rate", "cpu_us"), ("requests/s", "CPU µs per request"), strict=True
    ):
        medians = [row.median(key) or 0.0 for row in rows]
        spans = [_values(row, key) or [0.0] for row in rows]
        below = [median - min(span) for median, span in zip(medians, spans, strict=True)]
        above = [max(span) - median for median, span in zip(medians, spans, strict=True)]
        axis.barh(
            [row.name for row in rows],
            medians,
            xerr=[below, above],
            color=[_OURS if _is_ours(row.name) else _OTHERS for row in rows],
            error_kw={"linewidth": 1},
        )
        axis.invert_yaxis()
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=8)
    axes[1].set_yticks([])
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
        name, _, threads = row.name.partition(", ")
        if rate := row.median("rate"):
            lines.setdefault(name, []).append((int(threads.split()[0]), rate))
    return _lines(lines, "threads")


def _lines(lines: dict[str, list[tuple[int, float]]], label: str) -> Figure | None:
    if not lines:
        return None
    figure, (axis,) = _figure(1, 4.0)
    axis.set_prop_cycle(color=_LINES)
    for name, points in lines.items():
        (line,) = axis.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name)
        if _is_ours(name):
            line.set(color=_OURS, linewidth=2.5)
    axis.set_xscale("log")
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_xlabel(label)
    axis.set_ylabel("requests/s")
    axis.legend(fontsize=8, frameon=False, ncols=2)
    return figure

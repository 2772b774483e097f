"""The screen of ``rocket-cli top``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rocket_cli._admin.counters import mean, quantile
from rocket_cli._terminal.tables import (
    SHARES,
    STATES,
    described,
    doing,
    headline,
    kinds_of,
    plain,
)
from rocket_cli._terminal.trend import Trend
from rocket_cli._units import age, number, seconds, size

QUEUE: Final = "yellow"
"""The colour of time in the queue."""
APPLICATION: Final = "green"
"""The colour of time in the application."""

_CURVE: Final = "▁▂▃▄▅▆▇█"
_WIDE: Final = 110
"""Columns from which there is room for bars beside the numbers."""

_TRAFFIC: Final = 9
"""Lines of the upper panels, including their frames."""

_LEAST: Final = 24
"""Lines of a terminal on which there is room for the panel of what is shared, with three kinds."""


def screen(
    trend: Trend, width: int, height: int, *, trouble: str = "", paused: bool = False
) -> RenderableType:
    """Return the whole screen; ``trouble`` is the reason why it is not up to date, or empty."""
    wide = width >= _WIDE
    count = len(trend.processes)
    kinds = _kinds(trend, height - _LEAST + 3) if height >= _LEAST else []
    lines = len(kinds) + 3 if kinds else 0
    # At least three lines are left to the slowest requests.
    shown = max(min(count, height - _TRAFFIC - lines - 2 - 3 - 6), 1)
    layout = Layout()
    layout.split_column(
        Layout(_headline(trend, trouble), size=1),
        Layout(name="upper", size=_TRAFFIC),
        *([Layout(_panel("Without a thread", _shared(trend, kinds)), size=lines)] if kinds else []),
        Layout(_panel("Processes", _processes(trend, shown)), size=shown + 3),
        Layout(_panel("Slowest running requests", _slowest(trend, height))),
        Layout(_footer(trend, paused=paused), size=1),
    )
    layout["upper"].split_row(
        Layout(
            _panel("Requests", _requests(trend, width // 2 - 3, wide=wide)),
            ratio=50 if wide else 53,
        ),
        Layout(_panel("Connections", _connections(trend, wide=wide)), ratio=22 if wide else 20),
        Layout(_panel("Closed", _closed(trend, wide=wide)), ratio=28 if wide else 27),
    )
    return layout


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(
        content, title=f"[bold]{title}[/]", title_align="left", box=box.ROUNDED, border_style="dim"
    )


def _headline(trend: Trend, trouble: str) -> Text:
    if trouble:
        text = Text(f"trying again: {trouble}", "bold red")
    elif trend.processes:
        text = headline(trend.processes)
    else:
        text = Text("no process answers", "bold red")
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text


def _footer(trend: Trend, *, paused: bool) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    whole = trend.whole
    keys = Text.assemble(("q", "bold"), (" quit   ", "dim"), ("p", "bold"), (" pause", "dim"))
    waiting, stalled = whole["queue"], whole["threads"].get("stalled", 0)
    in_lines = whole.get("in_lines", 0)
    facts = Text.assemble(
        (f"{number(waiting)} waiting", "bold yellow" if waiting else "dim"),
        (f"   {number(in_lines)} in lines" if in_lines else "", "bold yellow"),
        (f"   {number(stalled)} stalled   {size(whole['held'])} of responses held", "dim"),
    )
    grid.add_row(keys, Text("paused", "bold reverse") if paused else facts)
    return grid


def bar(share: float, width: int, style: str, rest: str = "bright_black") -> Text:
    """Return a bar of which ``share`` (0 to 1) is filled."""
    filled = round(min(max(share, 0.0), 1.0) * width)
    return Text.assemble(("█" * filled, style), ("░" * (width - filled), rest))


def curve(values: Sequence[float], width: int) -> str:
    """Return the latest of ``values`` as a curve of ``width`` characters."""
    shown = list(values)[-width:]
    most = max(shown, default=0.0)
    if not most:
        return _CURVE[0] * len(shown)
    return "".join(_CURVE[round(each / most * (len(_CURVE) - 1))] for each in shown)


def _requests(trend: Trend, width: int, *, wide: bool) -> RenderableType:
    rate = Text.assemble((number(trend.rates[-1]) if trend.rates else "-", "bold"), " per second  ")
    rate.append(curve(trend.rates, max(width - len(rate), 0)), "cyan")
    times = Table.grid(padding=(0, 1), expand=True)
    times.add_column(no_wrap=True)
    names = ("", "median", "90 %", "99 %", "mean")
    for _ in names[1:]:
        times.add_column(justify="right", no_wrap=True)
    times.add_row(*(Text(name, "dim") for name in names))
    for name, key, style in (
        ("queue", "queue_time", QUEUE),
        ("application" if wide else "app", "service_time", APPLICATION),
    ):
        found = trend.counted.get(key, {})
        figures = [seconds(quantile(found, share)) for share in SHARES]
        times.add_row(Text(name, style), *figures, seconds(mean(found)))
    return Group(rate, times, "", _shares(trend, width))


def _shares(trend: Trend, width: int) -> Table:
    """Return the shares of queue and application in the time of requests, and of busy threads."""
    whole, waited = trend.whole, trend.waited
    threads = whole["threads"]
    length = max(width - 24, 4)
    grid = Table.grid(padding=(0, 1))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    if waited is None:
        grid.add_row("time", bar(0.0, length, QUEUE), "-")
    else:
        text = f"{waited:.0%} in queue"
        grid.add_row("time", bar(waited, length, QUEUE, APPLICATION), text)
    share = threads["busy"] / threads["max"] if threads else 0.0
    used = f"{threads['busy']} of {threads['max']} busy" if threads else "-"
    grid.add_row("threads", bar(share, length, "cyan"), used)
    return grid


def _connections(trend: Trend, *, wide: bool) -> Table:
    found = trend.whole["connections"]
    most = max(found.values(), default=0)
    rows = [(name, found[name], number(found[name])) for name in STATES if name in found]
    return _bars(rows, most, "blue", wide=wide)


def _closed(trend: Trend, *, wide: bool) -> Table:
    """Return the reasons for closed connections: those of the latest interval come first."""
    closes = trend.whole["counters"].get("closes", {})
    lately = trend.counted.get("closes", {})
    found = sorted(closes, key=lambda reason: (-lately.get(reason, 0), -closes[reason]))
    most = max(lately.values(), default=0)
    rows = []
    for reason in found:
        rate = lately.get(reason, 0) / trend.seconds if trend.seconds else 0.0
        rows.append(
            (reason, lately.get(reason, 0), f"{number(rate)}/s" if rate else number(closes[reason]))
        )
    return _bars(rows, most, "magenta", wide=wide)


def _bars(rows: Iterable[tuple[str, float, str]], most: float, style: str, *, wide: bool) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=None if wide else 1)
    grid.add_column(justify="right", no_wrap=True)
    if wide:
        grid.add_column(no_wrap=True, ratio=1)
    for name, value, shown in rows:
        cells: list[RenderableType] = [plain(name), shown]
        if wide:
            cells.append(Bar(most, 0, value, color=style) if most else "")
        grid.add_row(*cells)
    return grid


def _kinds(trend: Trend, most: int) -> list[str]:
    """Return up to ``most`` kinds of what is shared, those with the most connections."""
    shared = trend.whole["shared"]

    def count(kind: str) -> int:
        levels = shared.get(kind, {})
        return int(levels.get("parked", 0) + levels.get("active", 0))

    kinds = kinds_of(trend.whole, trend.whole["counters"])
    return sorted(sorted(kinds, key=count, reverse=True)[:most])


def _shared(trend: Trend, kinds: Iterable[str]) -> Table:
    """Return HTTP/2, websockets, event streams and the like, and the rates of messages."""
    grid = Table.grid(padding=(0, 2), expand=True)
    names = ("", "parked", "active", "received/s", "sent/s", "dropped/s", "closed/s")
    grid.add_column(no_wrap=True)
    for _ in names[1:]:
        grid.add_column(justify="right", no_wrap=True)
    grid.add_row(*(Text(name, "dim") for name in names))
    for kind in kinds:
        levels = trend.whole["shared"].get(kind, {})
        messages = trend.counted.get("messages", {}).get(kind, {})
        closed = sum(trend.counted.get("outcomes", {}).get(kind, {}).values())
        found = (*(messages.get(name, 0) for name in ("received", "sent", "dropped")), closed)
        grid.add_row(
            described(kind, levels),
            *(number(levels.get(name, 0)) for name in ("parked", "active")),
            *(number(each / trend.seconds) if trend.seconds else "-" for each in found),
        )
    return grid


def _processes(trend: Trend, shown: int) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    names = (
        "process", "gen.", "up", "busy", "queue", "conns", "requests/s", "CPU", "memory", "GIL wait"
    )  # fmt: skip
    for _ in names:
        grid.add_column(justify="right", no_wrap=True)
    grid.add_row(*(Text(name, "dim") for name in names))
    for each in trend.processes[:shown]:
        process, threads = each["process"], each["threads"]
        share = trend.cpu.get(process)
        grid.add_row(
            str(process),
            str(each["generation"]),
            age(each["uptime"]),
            f"{threads['busy']}/{threads['count']}",
            number(each["queue"]),
            number(sum(each["connections"].values())),
            number(trend.per_process.get(process, math.nan)),
            "-" if share is None else f"{share:.0%}",
            size(each["memory"]),
            seconds(each["gil_wait"]),
        )
    return grid


def _slowest(trend: Trend, height: int) -> RenderableType:
    found = trend.slowest
    if not found:
        return Text("none", "dim")
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, style="dim")
    for each in found[:height]:
        grid.add_row(
            Text(seconds(each["seconds"]), "bold red" if each["seconds"] >= 1 else ""),
            doing(each),
            plain(each["client"]),
            f"{each['process']} {_short(each)}",
        )
    return grid


def _short(thread: Mapping[str, Any]) -> str:
    return str(thread["thread"]).removeprefix("rocket-")

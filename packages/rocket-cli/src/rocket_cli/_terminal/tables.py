"""The answers of a server as tables for a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rocket_cli._admin.counters import mean, quantile, total
from rocket_cli._admin.reply import Answer, Reply
from rocket_cli._admin.summary import running, summary
from rocket_cli._units import age, number, seconds, size

SHARES: Final = (0.5, 0.9, 0.99)
"""The quantiles of times that are shown."""
STATES: Final = (
    "handshake",
    "idle",
    "head",
    "body",
    "ready",
    "active",
    "upgraded",
    "shared",
    "sending",
    "linger",
)
"""The states of connections, in the order in which a connection passes through them."""

_RECEIVING: Final = frozenset({"handshake", "idle", "head", "body"})

_SOON: Final = 14 * 86_400
"""Seconds before the expiry of a certificate in which it is highlighted."""


def table(*columns: str) -> Table:
    """Return an empty table; columns whose name begins with ``>`` are flush right."""
    made = Table(
        box=box.SIMPLE_HEAD,
        header_style="dim",
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for name in columns:
        if name.startswith(">"):
            made.add_column(name.removeprefix(">"), justify="right", no_wrap=True)
        else:
            made.add_column(name, overflow="fold")
    return made


def plain(text: object) -> Text:
    """Return a text from outside without effects on the terminal.

    Nothing in it is markup, and nothing in it can move the cursor.
    """
    return Text(
        "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text))
    )


def headline(answers: Sequence[Answer]) -> Text:
    """Return the versions, the number of processes, the uptime, and the addresses."""
    first = answers[0]
    oldest = max(each["uptime"] for each in answers)
    gil = "on" if first["gil"] else "off"
    runs = f"({first['build']}), {first['python']} (GIL {gil})"
    many = "process" if len(answers) == 1 else "processes"
    return Text.assemble(
        (f"Rocket {first['version']}", "bold"),
        f" {runs}, {len(answers)} {many}, up {age(oldest)}, ",
        plain(" ".join(first["listeners"])),
    )


def stats_report(reply: Reply) -> RenderableType:
    """Return the report of ``rocket-cli stats``."""
    found = reply.sound
    whole = summary(found)
    counters = total([whole["counters"], reply.ended])
    parts: list[RenderableType] = [
        headline(found),
        _requests(whole, counters),
        processes(found),
    ]
    states = whole["connections"]
    closes = counters["closes"]
    parts.append(
        _side_by_side(
            _counts("Connections", [(name, states[name]) for name in STATES if name in states]),
            _counts("Closed", sorted(closes.items(), key=lambda each: -each[1])),
        )
    )
    shared = shared_table(whole, counters)
    if shared is not None:
        parts.append(shared)
    certificates = _certificates(found[0]["certificates"])
    if certificates is not None:
        parts.append(certificates)
    return spaced(parts)


def spaced(parts: Iterable[RenderableType]) -> RenderableType:
    """Return the parts with an empty line between them."""
    first, *others = parts
    return Group(first, *(Group("", each) for each in others))


def _side_by_side(*parts: RenderableType) -> Table:
    """Return the parts beside each other, each as wide as it needs to be."""
    grid = Table.grid(padding=(0, 4))
    grid.add_row(*parts)
    return grid


def _requests(whole: Answer, counters: Answer) -> RenderableType:
    threads = whole["threads"]
    grid = Table.grid(padding=(0, 2))
    waiting = f"{number(whole['queue'])} waiting"
    if whole["in_lines"]:
        waiting += f", {number(whole['in_lines'])} in the lines of their clients"
    grid.add_row("Requests", f"{number(counters['requests'])}, {waiting}")
    grid.add_row("Responses", _responses(counters))
    grid.add_row(
        "Threads", f"{threads['busy']} of {threads['count']} busy, {threads['stalled']} stalled"
    )
    grid.add_row(
        "Clients",
        f"{number(counters['accepted'])} accepted, {number(counters['refused'])} refused, "
        f"{number(counters['accept_errors'])} failed, {size(whole['held'])} of responses held",
    )
    if limited := _limited(counters):
        grid.add_row("Limited", limited)
    times = table("Time", ">median", ">90 %", ">99 %", ">mean", ">total")
    for name, key in (("in queue", "queue_time"), ("in the application", "service_time")):
        found = counters[key]
        times.add_row(
            name,
            *(seconds(quantile(found, share)) for share in SHARES),
            seconds(mean(found)),
            seconds(found["sum"]),
        )
    return Group(grid, "", times)


def _limited(counters: Answer) -> str:
    """Return what the limits for each client have done, as far as they have done anything."""
    found = {
        "requests have waited in the line of their client": counters["lined"],
        "answered 429": counters["limited"],
        "connections closed at once": counters["refused_clients"],
    }
    return ", ".join(f"{number(count)} {name}" for name, count in found.items() if count)


def _responses(counters: Answer) -> str:
    """Return the numbers of responses by class, and of the server's own by status."""
    sent, own = (
        ", ".join(f"{number(count)} {name}" for name, count in sorted(found.items()) if count)
        for found in (counters["responses"], counters["own_responses"])
    )
    return f"{sent or 'none'}; of the server: {own}" if own else sent or "none"


def processes(answers: Sequence[Answer]) -> Table:
    """Return a table with a row for each process."""
    made = table(
        ">process", ">gen.", ">up", ">busy", ">queue", ">conns", ">requests", ">memory", ">CPU",
        ">GIL wait",
    )  # fmt: skip
    for each in answers:
        made.add_row(
            str(each["process"]),
            str(each["generation"]),
            age(each["uptime"]),
            f"{each['threads']['busy']}/{each['threads']['count']}",
            number(each["queue"]),
            number(sum(each["connections"].values())),
            number(each["counters"]["requests"]),
            size(each["memory"]),
            seconds(each["counters"]["cpu"]),
            seconds(each["gil_wait"]),
        )
    return made


def _counts(title: str, rows: Iterable[tuple[str, float]]) -> Table:
    """Return a table of names and numbers."""
    made = table(title, ">")
    made.columns[0].min_width = len(title)
    for name, found in rows:
        made.add_row(plain(name), number(found))
    if not made.row_count:
        made.add_row(Text("none", "dim"), "")
    return made


def kinds_of(whole: Answer, counters: Answer) -> list[str]:
    """Return the kinds of shared connections that there are, or were."""
    names = ("messages", "outcomes")
    return sorted(
        whole["shared"].keys() | {kind for each in names for kind in counters.get(each, ())}
    )


def described(kind: str, levels: Mapping[str, int]) -> Text:
    """Return a kind of shared connections, with the number of their open requests, if any."""
    streams = levels.get("streams", 0)
    if not streams:
        return plain(kind)
    return plain(f"{kind}: {number(streams)} open")


def shared_table(whole: Answer, counters: Answer) -> Table | None:
    """Return a table of HTTP/2, websockets, event streams and the like; None if there were none."""
    kinds = kinds_of(whole, counters)
    if not kinds:
        return None
    messages, outcomes = counters.get("messages", {}), counters.get("outcomes", {})
    made = table("Kind", ">parked", ">active", ">received", ">sent", ">dropped", "closed")
    for kind in kinds:
        levels, counts = whole["shared"].get(kind, {}), messages.get(kind, {})
        made.add_row(
            described(kind, levels),
            *(number(levels.get(name, 0)) for name in ("parked", "active")),
            *(number(counts.get(name, 0)) for name in ("received", "sent", "dropped")),
            plain(_ends(outcomes.get(kind, {}))),
        )
    return made


def _ends(outcomes: Mapping[str, int]) -> str:
    """Return the close codes or reasons with their numbers, the most frequent first."""
    found = sorted(outcomes.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{outcome}: {number(count)}" for outcome, count in found)


def _certificates(certificates: Sequence[Answer]) -> Table | None:
    if not certificates:
        return None
    made = table("certificate for", "expires", "address", "source")
    for each in certificates:
        left = each["expires"] - time.time()
        made.add_row(
            plain(", ".join(each["names"])),
            Text("expired", "bold red")
            if left <= 0
            else Text(f"in {age(left)}", "yellow" if left < _SOON else ""),
            plain(each["listener"]),
            plain(each["source"]),
        )
    return made


def threads_report(reply: Reply) -> RenderableType:
    """Return the report of ``rocket-cli threads``: busy threads and their stacks."""
    busy = running(reply.sound)
    parts: list[RenderableType] = [_thread(each) for each in busy]
    idle = sum(len(each["threads"]) for each in reply.sound) - len(busy)
    parts.append(Text(f"{idle} idle {'thread' if idle == 1 else 'threads'}", "dim"))
    return spaced(parts)


def doing(thread: Mapping[str, Any]) -> Text:
    """Return what a busy thread does: its request, or the state of its connection."""
    if thread["request"]:
        return plain(thread["request"])
    state = thread["state"]
    return Text(f"receiving ({state})" if state in _RECEIVING else state)


def _thread(thread: Answer) -> RenderableType:
    text = Text.assemble(
        (seconds(thread["seconds"]), "bold"),
        "  ",
        (doing(thread).plain, "bold cyan"),
        "  from ",
        plain(thread["client"]),
    )
    where = Text(
        f"process {thread['process']}, {thread['thread']}, thread ID {thread['native_id']}",
        "dim",
    )
    lines: list[RenderableType] = [text, Padding(where, (0, 0, 0, 2), expand=False)]
    for frame in thread.get("stack", ()):
        lines.append(
            Padding(
                plain(f"{frame['file']}:{frame['line']} {frame['function']}"),
                (0, 0, 0, 2),
                expand=False,
            )
        )
        if frame["code"]:
            lines.append(Padding(plain(frame["code"]), (0, 0, 0, 6), expand=False))
    return Group(*lines)


def connections_report(reply: Reply) -> RenderableType:
    """Return the report of ``rocket-cli connections``."""
    columns = [">process", "client", "address", "state", ">age", ">requests", ">held", "TLS"]
    connections = [each for answer in reply.sound for each in answer["connections"]]
    shared = any(each["kind"] for each in connections)
    if shared:
        columns += ["kind", ">streams", ">received", ">sent"]
    made = table(*columns)
    count = shown = 0
    for answer in reply.sound:
        count += answer["count"]
        for each in answer["connections"]:
            shown += 1
            made.add_row(
                str(answer["process"]),
                plain(each["peer"]),
                plain(each["local"]),
                _state(each),
                age(each["age"]),
                number(each["requests"]),
                size(each["held"]),
                (each["protocol"] or "yes") if each["secure"] else "",
                *(_sharing(each) if shared else ()),
            )
    what = "connection" if count == 1 else "connections"
    return spaced([made, Text(f"{shown} of {count} {what}", "dim")])


def _state(connection: Answer) -> str:
    """Return the state of a connection, or what a thread does for a shared one."""
    if connection["kind"]:
        return "active" if connection["active"] else "parked"
    return str(connection["state"])


def _sharing(connection: Answer) -> Iterable[RenderableType]:
    """Return the cells for what is shared: the kind, its streams, or its messages either way."""
    counts, streams = connection["messages"], connection["streams"]
    if counts is None:
        return ("", "", "", "")
    if streams is not None:
        kinds = ", ".join(f"{count} {kind}" for kind, count in connection["stream_kinds"].items())
        kind = f"{connection['kind']}: {kinds}" if kinds else connection["kind"]
        return (plain(kind), number(streams), "", "")
    return (plain(connection["kind"]), "", number(counts["received"]), number(counts["sent"]))

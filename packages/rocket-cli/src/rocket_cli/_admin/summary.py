"""The answers of all processes, combined into those of the whole server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rocket_cli._admin.counters import total
from rocket_cli._admin.reply import Answer


def summary(found: Sequence[Answer]) -> dict[str, Any]:
    """Return the ``stats`` of all processes together."""
    connections: Counter[str] = Counter()
    for each in found:
        connections.update(each["connections"])
    return {
        "processes": len(found),
        "connections": dict(connections),
        "shared": total(each["shared"] for each in found),
        "threads": total(each["threads"] for each in found),
        "queue": sum(each["queue"] for each in found),
        "in_lines": sum(each["in_lines"] for each in found),
        "held": sum(each["held"] for each in found),
        "memory": sum(each["memory"] for each in found),
        "gil_wait": max((each["gil_wait"] for each in found), default=0.0),
        "counters": total(each["counters"] for each in found),
    }


def running(found: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return the busy threads of all processes, the longest busy first, each with its process."""
    threads = [
        {"process": each["process"], **thread}
        for each in found
        for thread in each["threads"]
        if thread["client"] is not None
    ]
    return sorted(threads, key=lambda thread: -thread["seconds"])

"""The lines that the command prints when it serves."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator

from rocket_cli._admin.vitals import build, gil_enabled
from rocket_cli._settings.threads import Threads
from rocket_cli._terminal.browser import reachable
from rocket_cli._version import __version__


def banner(
    application: str, processes: int, threads: Threads, locations: Iterable[str]
) -> Iterator[str]:
    """Yield the lines, given the application, the number of processes, the threads and the URLs."""
    yield _summary(processes, threads)
    yield f"Serving {application}"
    for location in locations:
        here = reachable(location)
        aside = "" if here in (None, location) else f" (on this machine {here})"
        yield f"Listening on {location}{aside}"
    yield "Press Ctrl+C, or send SIGTERM, to stop"


def start_event(
    application: str, processes: int, threads: Threads, locations: Iterable[str]
) -> str:
    """Return the same as one line for a log that does not have these lines."""
    where = ", ".join(locations)
    return f"started: {_summary(processes, threads)}; serving {application} on {where}"


def _summary(processes: int, threads: Threads) -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    gil = "on" if gil_enabled() else "off"
    count = str(threads).replace(":", " to ")
    several = f"processes: {processes}, " if processes > 1 else ""
    return f"Rocket {__version__} ({build()}), {python} (GIL {gil}), {several}threads: {count}"

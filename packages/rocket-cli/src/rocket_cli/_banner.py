"""What the command says when it has started."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator

from rocket_cli._listeners import location
from rocket_cli._threads import Threads
from rocket_cli._version import __version__
from rocket_core import Listener


def banner(application: str, threads: Threads, listeners: Iterable[Listener]) -> Iterator[str]:
    """The lines to print, given what is served and listeners that are bound."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    gil = "on" if gil_enabled() else "off"
    count = str(threads).replace(":", " to ")
    yield f"Rocket {__version__}, {python} (GIL {gil}), threads: {count}"
    yield f"Serving {application}"
    for listener in listeners:
        yield f"Listening on {location(listener)}"
    yield "Press Ctrl+C, or send SIGTERM, to stop"


def gil_enabled() -> bool:
    """Whether only one thread at a time runs Python code (PEP 703)."""
    enabled: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    return enabled

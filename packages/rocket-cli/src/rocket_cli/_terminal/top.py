"""Watching a server until a key ends it."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live

from rocket_cli._admin.client import AdminClient, UnreachableError
from rocket_cli._errors import CommandError
from rocket_cli._terminal.screen import screen
from rocket_cli._terminal.trend import Look, Trend

INTERVAL: Final = 1.0
"""Seconds between two looks at the server."""

_GLANCE: Final = 0.2
"""Seconds after which a terminal that has another size gets a new screen."""

_REQUESTS: Final = 100
"""Threads that each process tells of."""


class Watch:
    """The connection to the server, which may come and go, and what it said."""

    def __init__(self, path: Path) -> None:
        """Connect. Raises `UnreachableError`."""
        self._path = path
        self._client: AdminClient | None = AdminClient(path)
        self.trend = Trend()
        self.trouble = ""
        """Why the server could not be asked last time; empty when it could."""

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def look(self) -> None:
        """Ask the server, connecting again where that is needed."""
        try:
            if self._client is None:
                self._client = AdminClient(self._path)
                self.trend.forget()
            stats = self._client.ask("stats")
            threads = self._client.ask("threads", limit=_REQUESTS)
        except UnreachableError as error:
            self.trouble = error.message
            self.close()
        except CommandError as error:
            self.trouble = error.message
        else:
            self.trouble = ""
            self.trend.add(Look(time.monotonic(), stats, threads))


def watch(path: Path) -> None:
    """Show a screen until q is pressed. Raises `CommandError`."""
    console = Console(highlight=False)
    if not (console.is_terminal and sys.stdin.isatty()):
        raise CommandError("top needs a terminal; for a file or a pipe use rocket-cli stats")
    server = Watch(path)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live, _keys():
            _loop(server, live, console)
    except KeyboardInterrupt:
        return
    finally:
        server.close()


def _loop(server: Watch, live: Live, console: Console) -> None:
    paused = False
    next_look = 0.0
    shown: tuple[int, int] | None = None
    while True:
        if not paused and time.monotonic() >= next_look:
            server.look()
            next_look = time.monotonic() + INTERVAL
            shown = None
        size = os.get_terminal_size()  # of the terminal itself, whatever COLUMNS says
        if shown != size:
            shown = console.size = size
            picture = screen(server.trend, *shown, trouble=server.trouble, paused=paused)
            live.update(picture, refresh=True)
        match _key(_GLANCE):
            case "q":
                return
            case "p":
                paused = not paused
                shown = None


@contextmanager
def _keys() -> Iterator[None]:
    """Have keys come at once, and unseen."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _key(timeout: float) -> str:
    """The key that is pressed within ``timeout`` seconds; empty for none."""
    descriptor = sys.stdin.fileno()
    ready, _, _ = select.select([descriptor], [], [], timeout)
    return os.read(descriptor, 1).decode("ascii", "replace") if ready else ""

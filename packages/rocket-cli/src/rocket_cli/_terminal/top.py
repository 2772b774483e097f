"""The command ``rocket-cli top``: a live screen, until a key ends it."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console
from rich.live import Live

from rocket_cli._admin.client import AdminClient, UnreachableError
from rocket_cli._errors import CommandError
from rocket_cli._terminal.screen import screen
from rocket_cli._terminal.trend import Look, Trend

INTERVAL: Final = 1.0
"""Seconds between two questions to the server."""

_GLANCE: Final = 0.2
"""Seconds after which a change of the terminal's size is noticed."""

_REQUESTS: Final = 100
"""The maximum number of threads in the answer of each process."""


class Watch:
    """The connection to the server, which may be lost and made again, and the latest answers."""

    def __init__(self, path: Path) -> None:
        """Connect to the admin socket at ``path``. Raises `UnreachableError`."""
        self._path = path
        self._client: AdminClient | None = AdminClient(path)
        self.trend = Trend()
        self.trouble = ""
        """The reason why the last question failed; empty if it succeeded."""

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def look(self) -> None:
        """Ask the server, and connect again first if the connection was lost."""
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


class Interrupt:
    """A SIGINT that ends the screen even where the interpreter swallows its exception.

    `KeyboardInterrupt` is lost when it is raised in a finalizer or a weak reference's callback,
    which may run wherever memory is allocated. The signal is remembered here, too, and the loop
    looks.
    """

    def __init__(self) -> None:
        self.noticed = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Remember each SIGINT in this block and raise `KeyboardInterrupt` for it."""
        before = signal.signal(signal.SIGINT, self._notice)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        self.noticed = True
        raise KeyboardInterrupt


def watch(path: Path) -> None:
    """Show the screen until the key q is pressed. Raises `CommandError`."""
    console = Console(highlight=False)
    if not (console.is_terminal and sys.stdin.isatty()):
        raise CommandError("top needs a terminal; use rocket-cli stats for a file or a pipe")
    server = Watch(path)
    interrupt = Interrupt()
    try:
        with (
            interrupt.handled(),
            Live(console=console, screen=True, auto_refresh=False) as live,
            _keys(),
        ):
            _loop(server, live, console, interrupt)
    except KeyboardInterrupt:
        return
    finally:
        server.close()


def _loop(server: Watch, live: Live, console: Console, interrupt: Interrupt) -> None:
    paused = False
    next_look = 0.0
    shown: tuple[int, int] | None = None
    while not interrupt.noticed:
        if not paused and time.monotonic() >= next_look:
            server.look()
            next_look = time.monotonic() + INTERVAL
            shown = None
        size = os.get_terminal_size()  # asks the terminal: COLUMNS may be out of date
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
    """Read keys without waiting for a newline, and without showing them, in this block."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _key(timeout: float) -> str:
    """Return the key that is pressed within ``timeout`` seconds, or an empty string."""
    descriptor = sys.stdin.fileno()
    ready, _, _ = select.select([descriptor], [], [], timeout)
    return os.read(descriptor, 1).decode("ascii", "replace") if ready else ""

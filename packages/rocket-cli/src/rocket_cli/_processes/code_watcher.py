"""A process that has the application served anew when its code changes."""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from rocket_cli._errors import CommandError
from rocket_cli._logging.server_log import reopen_log
from rocket_cli._processes.channel import Channel, Message
from rocket_cli._processes.control import Control
from rocket_cli._sockets.bound_sockets import BoundSocket

_log = logging.getLogger("rocket_cli")

_LATENESS: Final = 500
"""Milliseconds after which a change is found that was made before the watch began."""

_INSTALLED: Final = ("site-packages", "dist-packages")


def require_watchfiles() -> None:
    """Raise `CommandError` where changes cannot be watched for."""
    if find_spec("watchfiles") is None:
        raise CommandError(
            "--reload needs the package watchfiles: pip install 'rocket-cli[reload]'"
        )


class Wanted(NamedTuple):
    """What to watch.

    Attributes:
        directories: where code is.
        since: from when on changes count, by `time.time`.
    """

    directories: Sequence[str]
    since: float


def code_directories() -> list[str]:
    """The current directory, and those of modules that are imported from elsewhere.

    What is installed, or comes with Python, is left out.
    """
    python = tuple(f"{each}{os.sep}" for each in {sys.prefix, sys.base_prefix, sys.exec_prefix})
    found = {Path.cwd()}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or file.startswith(python):
            continue
        directory = Path(file).parent
        if directory.is_dir() and not any(part in _INSTALLED for part in directory.parts):
            found.add(directory)
    return sorted(str(each) for each in found if not found.intersection(each.parents))


@dataclass(frozen=True, slots=True)
class Watch:
    """The task of that process.

    Attributes:
        files: other files whose change counts.
        name: what the process is called.
        sockets: none.
    """

    files: Sequence[str]
    name: str = "watcher"
    sockets: Sequence[BoundSocket] = ()

    def run(self, channel: Channel) -> int:
        """Ask the supervisor to reload at every change, until told to end."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the supervisor will say
        orders = _Orders()
        Control(channel, orders.table(), {}).start()
        channel.send({"event": "ready"})
        while (wanted := orders.next()) is not None:
            for changed in _changes(wanted, self.files, orders.stirred):
                _log.info("%s has changed", changed)
                channel.send({"ask": "reload"})
        return 0


class _Orders:
    """What the process is told, by the control thread, while it watches.

    Attributes:
        stirred: set while there is an order that has not been taken.
    """

    def __init__(self) -> None:
        self.stirred = threading.Event()
        self._queue: queue.SimpleQueue[Wanted | None] = queue.SimpleQueue()

    def table(self) -> dict[str, Callable[[Message], None]]:
        """The orders by name."""
        return {
            "watch": lambda message: self._put(Wanted(message["directories"], message["since"])),
            "stop": lambda _: self._put(None),
            "end": lambda _: self._put(None),
            "reopen": lambda _: reopen_log(),
        }

    def _put(self, order: Wanted | None) -> None:
        self._queue.put(order)
        self.stirred.set()

    def next(self) -> Wanted | None:
        """What to watch now; None: to end."""
        order = self._queue.get()
        self.stirred.clear()
        while not self._queue.empty():
            order = self._queue.get()
        return order


def _changes(wanted: Wanted, files: Sequence[str], stop: threading.Event) -> Iterator[str]:
    """A file that has changed, whenever some have, until ``stop`` is set."""
    from watchfiles import Change, PythonFilter, watch

    code = PythonFilter()

    def counts(change: Change, path: str) -> bool:
        return path in files or code(change, path)

    directories = {*wanted.directories, *(str(Path(file).parent) for file in files)}
    present = [each for each in directories if Path(each).is_dir()]
    since: float | None = wanted.since
    for changes in watch(
        *present,
        watch_filter=counts,
        stop_event=stop,
        rust_timeout=_LATENESS,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        if changes:
            yield min(path for _, path in changes)
        elif since is not None:  # the watch is established: what came before it?
            early = _newer(wanted.directories, since, lambda path: counts(Change.modified, path))
            if early is not None:
                yield early
        since = None


def _newer(directories: Iterable[str], since: float, counts: Callable[[str], bool]) -> str | None:
    from watchfiles import DefaultFilter

    for top in directories:
        for directory, below, names in os.walk(top):
            below[:] = [each for each in below if each not in DefaultFilter.ignore_dirs]
            for name in names:
                path = str(Path(directory, name))
                if counts(path) and _modified(path) > since:
                    return path
    return None


def _modified(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0

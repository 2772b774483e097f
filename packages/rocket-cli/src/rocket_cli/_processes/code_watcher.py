"""The process that requests a reload when the code changes (``--reload``)."""

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

_FIRST_CHECK: Final = 500
"""Milliseconds after which changes from before the start of the watch are searched for."""

_INSTALLED: Final = ("site-packages", "dist-packages")
"""Directories of installed packages, which are not watched."""


def require_watchfiles() -> None:
    """Raise `CommandError` if the package that watches for changes is not installed."""
    if find_spec("watchfiles") is None:
        raise CommandError(
            "--reload needs the package watchfiles: pip install 'rocket-cli[reload]'"
        )


class Wanted(NamedTuple):
    """An order to watch.

    Attributes:
        directories: the directories with code.
        since: the time (`time.time`) from which changes count: when the code was loaded.
    """

    directories: Sequence[str]
    since: float


def code_directories() -> list[str]:
    """Return the current directory, and the directories of modules imported from elsewhere.

    Installed packages and the standard library are left out.
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
    """The task of the watcher.

    Attributes:
        files: files beside the code whose changes count, such as the settings file.
        name: the kind of the process.
        sockets: empty, because the watcher listens nowhere.
    """

    files: Sequence[str]
    name: str = "watcher"
    sockets: Sequence[BoundSocket] = ()

    def run(self, channel: Channel) -> int:
        """Ask the supervisor to reload after every change, until told to end."""
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # Ctrl+C reaches all processes; the supervisor decides
        orders = _Orders()
        Control(channel, orders.table(), {}).start()
        channel.send({"event": "ready"})
        while (wanted := orders.next()) is not None:
            for changed in _changes(wanted, self.files, orders.pending):
                _log.info("%s has changed", changed)
                channel.send({"ask": "reload"})
        return 0


class _Orders:
    """The orders of the supervisor, which the control thread puts and the main thread takes.

    ``_lock`` guards the queue together with `pending`:

    1. The control thread has put an order into the queue, and is about to set `pending`.
    2. The main thread takes the order, and clears `pending`.
    3. The control thread sets it. The new watch would end at once, and the main thread would wait
       for a further order while nothing is watched.

    With the lock, step 2 waits for step 3: `pending` is set exactly while the queue has an order.

    Attributes:
        pending: set while there is an order that has not been taken; it ends the present watch.
    """

    def __init__(self) -> None:
        self.pending = threading.Event()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Wanted | None] = queue.SimpleQueue()

    def table(self) -> dict[str, Callable[[Message], None]]:
        """Return the functions that carry out orders, by the name of the order."""
        return {
            "watch": lambda message: self._put(Wanted(message["directories"], message["since"])),
            "stop": lambda _: self._put(None),
            "end": lambda _: self._put(None),
            "reopen": lambda _: reopen_log(),
        }

    def _put(self, order: Wanted | None) -> None:
        with self._lock:
            self._queue.put(order)
            self.pending.set()

    def next(self) -> Wanted | None:
        """Wait for an order, and return the latest one; None means to end."""
        order = self._queue.get()
        with self._lock:
            self.pending.clear()
            while not self._queue.empty():
                order = self._queue.get()
        return order


def _changes(wanted: Wanted, files: Sequence[str], stop: threading.Event) -> Iterator[str]:
    """Yield the path of a changed file at every change, until ``stop`` is set."""
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
        rust_timeout=_FIRST_CHECK,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        if changes:
            yield min(path for _, path in changes)
        elif since is not None:  # the watch runs: search for changes from before it
            early = _newer(wanted.directories, since, lambda path: counts(Change.modified, path))
            if early is not None:
                yield early
        since = None


def _newer(directories: Iterable[str], since: float, counts: Callable[[str], bool]) -> str | None:
    """Return a file that counts and was modified after ``since``, or None."""
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
    """Return when a file was modified; 0 for a file that is gone."""
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0

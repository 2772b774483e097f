"""The process that answers operators and Prometheus; it never imports the application."""

from __future__ import annotations

import importlib.util
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rocket_cli._admin.endpoint import AdminWorker
from rocket_cli._admin.reply import Ask, AskError, Reply
from rocket_cli._errors import CommandError
from rocket_cli._logging.server_log import reopen_log
from rocket_cli._processes.channel import Channel
from rocket_cli._processes.control import Control
from rocket_cli._processes.task import Task
from rocket_cli._settings.bind import Bind
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.identity import assume_identity
from rocket_cli._sockets.bound_sockets import BoundSocket, close_sockets, listen
from rocket_core import Address, BindError, Listener, Server, UnixAddress, Worker, parse_address

_log = logging.getLogger("rocket_cli")

_BACKLOG: Final = 64
"""Connections that the system keeps for each socket until they are accepted."""

_PATIENCE: Final = 10.0
"""Seconds to wait for the answers of all processes: more than the supervisor gives them."""

_LONG_PATIENCE: Final = 3600.0
"""Seconds to wait for a new generation to serve."""

_THREADS: Final = 8
"""The maximum number of operators, or of scrapes, that wait for an answer at the same time."""

_IGNORED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)
"""Signals that the observer ignores: a terminal sends them to all processes, for the supervisor."""


@dataclass(frozen=True, slots=True)
class Observe:
    """The task of the observer.

    Attributes:
        chosen: the settings.
        admin: the socket on which it answers operators, if any.
        metrics: the socket on which it answers Prometheus, if any.
        name: the kind of the process.
    """

    chosen: Chosen
    admin: BoundSocket | None
    metrics: BoundSocket | None
    name: str = "observer"

    @property
    def sockets(self) -> Sequence[BoundSocket]:
        """The sockets that the observer listens on."""
        return [each for each in (self.admin, self.metrics) if each is not None]

    def run(self, channel: Channel) -> int:
        """Answer until told to end, and return the exit code."""
        assume_identity(self.chosen)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        stop = threading.Event()

        def end(_: object) -> None:
            stop.set()

        orders = {"stop": end, "end": end, "reopen": lambda _: reopen_log()}
        control = Control(channel, orders, {})
        control.start()
        ask = _asking(control)
        with ExitStack() as stack:
            if self.admin is not None:
                stack.enter_context(_serving(lambda: AdminWorker(ask), self.admin))
            if self.metrics is not None:
                stack.enter_context(_serving(_metrics_worker(ask), self.metrics))
                where = self.metrics.location(certificate=False)
                _log.info("metrics are at %s/metrics", where)
            channel.send({"event": "ready"})
            stop.wait()
        return 0


def observers(chosen: Chosen, present: Sequence[BoundSocket]) -> list[Task]:
    """Return the task of the observer if the settings ask for one, and bind its sockets.

    Sockets in ``present`` with one of its addresses are taken over. Raises `CommandError`.
    """
    check_observation(chosen)
    opened: dict[str, BoundSocket] = {}
    try:
        for name, address in _addresses(chosen).items():
            same = next((each for each in present if each.bind.address == address), None)
            try:
                opened[name] = same or listen(
                    Bind(address), chosen, _BACKLOG, private=name == "admin"
                )
            except BindError as error:
                raise CommandError(
                    f"{chosen.origin(name)}: {error}; choose another address"
                ) from error
    except CommandError:
        close_sockets(each for each in opened.values() if each not in present)
        raise
    return [Observe(chosen, opened.get("admin"), opened.get("metrics"))] if opened else []


def _addresses(chosen: Chosen) -> dict[str, Address]:
    found: dict[str, Address] = {}
    if chosen["admin"] is not None:
        found["admin"] = UnixAddress(chosen["admin"])
    if chosen["metrics"] is not None:
        found["metrics"] = parse_address(chosen["metrics"])
    return found


def check_observation(chosen: Chosen) -> None:
    """Raise `CommandError` if metrics or the admin socket are impossible as they are configured."""
    if chosen["metrics"] is not None and importlib.util.find_spec("prometheus_client") is None:
        raise CommandError(
            f'{chosen.origin("metrics")} needs prometheus-client: pip install "rocket-cli[metrics]"'
        )
    path = chosen["admin"]
    if path is not None and not path.absolute().parent.is_dir():
        raise CommandError(
            f"{chosen.origin('admin')} {str(path)!r}: the directory "
            f"{path.absolute().parent} does not exist; use a path in an existing one"
        )


def _asking(control: Control) -> Ask:
    """Return a function that asks all processes through the supervisor."""

    def ask(name: str, arguments: Mapping[str, Any]) -> Reply:
        patience = _LONG_PATIENCE if name == "reload" else _PATIENCE
        try:
            message = control.ask(name, dict(arguments), patience)
        except TimeoutError as error:
            raise AskError(str(error)) from error
        return Reply(message["answers"], message["ended"])

    return ask


def _metrics_worker(ask: Ask) -> Callable[[], Worker]:
    from rocket_cli._admin.metrics import metrics_application
    from rocket_wsgi import Site, WSGIWorker

    site = Site(metrics_application(ask))
    return lambda: WSGIWorker(site)


@contextmanager
def _serving(worker: Callable[[], Worker], bound: BoundSocket) -> Iterator[None]:
    listeners = [Listener(bound.socket)]
    # Without the watchdog, as a question may take long: a reload, for example.
    with Server(worker, listeners, min_threads=1, max_threads=_THREADS, watchdog=None):
        yield

"""The process that answers operators and Prometheus, and never imports the application."""

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
from rocket_cli._commands.settings_command import Chosen
from rocket_cli._errors import CommandError
from rocket_cli._logging.server_log import reopen_log
from rocket_cli._processes.channel import Channel
from rocket_cli._processes.control import Control
from rocket_cli._settings.bind import Bind
from rocket_cli._settings.users import assume_identity
from rocket_cli._sockets.bound_sockets import BoundSocket, close_sockets, listen
from rocket_cli._supervisor.children import Task
from rocket_core import Address, BindError, Listener, Server, UnixAddress, Worker, parse_address

_log = logging.getLogger("rocket_cli")

_BACKLOG: Final = 64

_PATIENCE: Final = 10.0
"""Seconds for the answer of all processes: more than they are given."""

_LONG_PATIENCE: Final = 3600.0
"""Seconds for a new generation to serve."""

_THREADS: Final = 8
"""Operators, or scrapes, that wait for an answer at the same time."""

_OTHERS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)
"""What a terminal sends to all processes, and only the supervisor heeds."""


@dataclass(frozen=True, slots=True)
class Observe:
    """The task of the observer.

    Attributes:
        chosen: the settings.
        admin: where it answers operators, if anywhere.
        metrics: where it answers Prometheus, if anywhere.
        name: what such a process is called.
    """

    chosen: Chosen
    admin: BoundSocket | None
    metrics: BoundSocket | None
    name: str = "observer"

    @property
    def sockets(self) -> Sequence[BoundSocket]:
        """All it listens on."""
        return [each for each in (self.admin, self.metrics) if each is not None]

    def run(self, channel: Channel) -> int:
        """Answer until told to end."""
        assume_identity(self.chosen)
        for number in _OTHERS:
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
    """The observer, if there is to be one, bound already. Raises `CommandError`.

    Those of ``present`` that have one of its addresses are taken over.
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
                raise CommandError(f"{chosen.origin(name)}: {error}; choose another") from error
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
    """Raise `CommandError` if there cannot be metrics, or a socket where it is wanted."""
    if chosen["metrics"] is not None and importlib.util.find_spec("prometheus_client") is None:
        raise CommandError(
            f'{chosen.origin("metrics")} needs prometheus-client: pip install "rocket-cli[metrics]"'
        )
    path = chosen["admin"]
    if path is not None and not path.absolute().parent.is_dir():
        raise CommandError(
            f"{chosen.origin('admin')} {str(path)!r}: there is no directory "
            f"{path.absolute().parent}; use a path in one that exists"
        )


def _asking(control: Control) -> Ask:
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
    with Server(worker, [Listener(bound.socket)], min_threads=1, max_threads=_THREADS):
        yield

"""The commands that ask a running server by its admin socket.

``top``, ``stats``, ``threads``, ``connections``, ``log-level``, ``resize``, ``reload``, ``drain``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rocket_cli._admin.protocol import LEVELS, MAX_LIMIT, MAX_PROCESSES, PATIENCE, SORTS
from rocket_cli._errors import CommandError
from rocket_cli._settings.kinds import Choice, Text, Whole
from rocket_cli._settings.options import AdminCommand
from rocket_cli._settings.threads import Threads, parse_threads

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rocket_cli._admin.reply import Reply

NOTICE: Final = 10.0
"""Seconds of a reload after which the command says that it waits."""

WAITING: Final = (
    "still waiting for the new processes; the old ones keep serving. If the "
    "application takes long to load, the log of the server says where it is. Ctrl+C ends this "
    "command, not the reload."
)

_WIDE: Final = 200
"""Columns of a report that is not printed on a terminal."""

_JSON = click.option(
    "--json", "wants_json", is_flag=True, help="Print the server's answer as JSON."
)
_EPILOG: Final = (
    "The exit code is 0, 1 if the server reports an error, or 2 if the server does not answer."
)


@click.command(cls=AdminCommand)
def top(*, path: Path) -> None:
    """Watch a running server.

    A live screen shows rates, times, threads, connections, processes and slow requests. Press q to
    quit, p to pause.
    """
    from rocket_cli._terminal.top import watch

    watch(path)


@click.command(cls=AdminCommand, epilog=_EPILOG)
@_JSON
def stats(*, path: Path, wants_json: bool) -> None:
    """Print the statistics of a running server, and the resources that its processes use."""
    reply = _ask(path, "stats")
    if wants_json:
        _print_json(reply)
    else:
        from rocket_cli._terminal.tables import stats_report

        _print(stats_report, reply)


@click.command(cls=AdminCommand, epilog=_EPILOG)
@_JSON
def threads(*, path: Path, wants_json: bool) -> None:
    """Print what each thread of a running server does.

    For each busy thread: its request, for how long it has run, and the line of code it is at.
    """
    reply = _ask(path, "threads", stacks=True)
    if wants_json:
        _print_json(reply)
    else:
        from rocket_cli._terminal.tables import threads_report

        _print(threads_report, reply)


@click.command(cls=AdminCommand, epilog=_EPILOG)
@click.option(
    "--sort",
    type=Choice(tuple(SORTS)),
    metavar="|".join(SORTS),
    default="age",
    help="Sort by age (oldest first), by held (most memory first), by requests (most first) or by "
    "state. Default: age.",
)
@click.option(
    "--limit",
    type=Whole(1, MAX_LIMIT),
    metavar="N",
    default=100,
    help="List at most this many connections of each process. Default: 100.",
)
@_JSON
def connections(*, path: Path, sort: str, limit: int, wants_json: bool) -> None:
    """List the connections of a running server."""
    reply = _ask(path, "connections", sort=sort, limit=limit)
    if wants_json:
        _print_json(reply)
    else:
        from rocket_cli._terminal.tables import connections_report

        _print(connections_report, reply)


@click.command("log-level", cls=AdminCommand, epilog=_EPILOG)
@click.argument("level", type=Choice(LEVELS), metavar="|".join(LEVELS))
def log_level(*, path: Path, level: str) -> None:
    """Change the log level of a running server."""
    _ask(path, "log-level", level=level)
    click.echo(f"log level: {level}")


@click.command(cls=AdminCommand, epilog=_EPILOG)
@click.option(
    "--threads",
    type=Text(parse_threads),
    metavar="N|MIN:MAX",
    help="Run this many threads in each process.",
)
@click.option(
    "--processes", type=Whole(1, MAX_PROCESSES), metavar="N", help="Run this many worker processes."
)
def resize(*, path: Path, threads: Threads | None, processes: int | None) -> None:
    """Change the number of threads or processes of a running server."""
    wanted: dict[str, Any] = {}
    if threads is not None:
        wanted["threads"] = str(threads)
    if processes is not None:
        wanted["processes"] = processes
    if not wanted:
        raise CommandError("nothing to change: give --threads, --processes, or both")
    _ask(path, "resize", **wanted)
    for name, value in wanted.items():
        click.echo(f"{name}: {value}")


@click.command(cls=AdminCommand, epilog=_EPILOG)
def reload(*, path: Path) -> None:
    """Reload the settings and the application of a running server, as SIGHUP does.

    New processes replace the old ones. The command ends when the new processes serve. If they
    cannot start, it prints the reason, and the old processes keep serving.
    """
    notice = threading.Timer(NOTICE, click.echo, [f"rocket-cli: {WAITING}"], {"err": True})
    notice.daemon = True
    notice.start()
    try:
        _ask(path, "reload", patience=None)
    finally:
        notice.cancel()
    click.echo("reloaded")


@click.command(cls=AdminCommand, epilog=_EPILOG)
def drain(*, path: Path) -> None:
    """Stop a running server gracefully, as SIGTERM does."""
    _ask(path, "drain")
    click.echo("draining")


def _ask(path: Path, command: str, *, patience: float | None = PATIENCE, **arguments: Any) -> Reply:
    """Return the answers of the processes. Raises `CommandError` if no process could answer."""
    from rocket_cli._admin.client import AdminClient, RefusedError

    with AdminClient(path, patience=patience) as client:
        reply = client.ask(command, **arguments)
    if reply.failures and not reply.sound:
        raise RefusedError("; ".join(dict.fromkeys(reply.failures)))
    for each in reply.failures:
        click.echo(f"rocket-cli: {each}", err=True)
    return reply


def _print_json(reply: Reply) -> None:
    click.echo(json.dumps({"answers": reply.answers, "ended": reply.ended}, indent=2))


def _print(report: Callable[[Reply], RenderableType], reply: Reply) -> None:
    from rich.console import Console

    if not reply.answers:
        raise CommandError("no worker process is serving at the moment: try again")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(report(reply))

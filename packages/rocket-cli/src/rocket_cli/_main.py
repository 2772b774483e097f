"""The command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from traceback import print_exception
from wsgiref.types import WSGIApplication

import click

from rocket_cli._app import load
from rocket_cli._banner import banner
from rocket_cli._bind import parse_binds
from rocket_cli._discovery import discover
from rocket_cli._errors import CommandError
from rocket_cli._listeners import make_listener, start
from rocket_cli._log import configure_log, open_access_log
from rocket_cli._signals import caught_signals, wait_for_end
from rocket_cli._target import parse_target
from rocket_cli._threads import parse_threads
from rocket_cli._version import __version__
from rocket_cli._welcome import welcome
from rocket_core import Server
from rocket_wsgi import WSGIWorker


@click.group()
@click.version_option(__version__, prog_name="rocket-cli", message="%(prog)s %(version)s")
def main() -> None:
    """Rocket, a threaded web server for Python."""


@main.command()
@click.argument("target", metavar="[MODULE:APP]", required=False)
@click.option(
    "--bind",
    "binds",
    metavar="ADDRESS",
    multiple=True,
    default=["127.0.0.1:8000"],
    show_default=True,
    help="Listen on HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH, with http:// or https:// before "
    "it or, without that, over HTTPS if there is a certificate. Can be repeated.",
)
@click.option(
    "--threads",
    metavar="N|MIN:MAX",
    default="8",
    show_default=True,
    help="Threads that run the application. One that waits for its client is replaced meanwhile.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    help="Certificate chain, PEM.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    help="Private key, PEM. Without this option it is in the file of --tls-cert.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least severe messages on standard error; debug also shows the traceback of an error.",
)
@click.option(
    "--access-log",
    metavar="PATH",
    help="File to which a line for each request is appended; - for standard output.",
)
def serve(
    *,
    target: str | None,
    binds: tuple[str, ...],
    threads: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    log_level: str,
    access_log: str | None,
) -> None:
    """Serve a WSGI application until SIGINT (Ctrl+C) or SIGTERM.

    MODULE:APP names it: myproject.wsgi:application, or myproject:create_app() for a factory. MODULE
    alone stands for its application or app. Without it, the application of the current directory
    is served: that of app.py, wsgi.py, a Django project or main.py.
    """
    with _reported_errors(traceback=log_level == "debug"):
        counts = parse_threads(threads)
        parsed = parse_binds(binds, tls_cert, tls_key)
        name, application, found = _application(target)
        configure_log(log_level)
        log = None if access_log is None else open_access_log(access_log)
        listeners = [make_listener(bind) for bind in parsed]
        server = Server(
            lambda: WSGIWorker(application, access_log=log),
            listeners,
            min_threads=counts[0],
            max_threads=counts[1],
        )
        with log or nullcontext(), caught_signals() as events:
            start(server)
            for line in [*found, *banner(name, counts, listeners)]:
                click.echo(line, err=True)
            wait_for_end(server, events)


@contextmanager
def _reported_errors(*, traceback: bool) -> Iterator[None]:
    """Say in one line what went wrong, after the traceback if it is wanted, and exit with 2."""
    try:
        yield
    except CommandError as error:
        if traceback:
            print_exception(error.__cause__ or error)
        click.echo(f"rocket-cli: error: {error}", err=True)
        sys.exit(2)


def _application(target: str | None) -> tuple[str, WSGIApplication, list[str]]:
    """The application's name, itself, and what to say about where it comes from."""
    directory = Path.cwd()
    sys.path.insert(0, str(directory))
    if target is not None:
        return target, load(parse_target(target)), []
    found = discover(directory)
    if found is None:
        nothing = f"Found no application in {directory}; name one: rocket-cli serve MODULE:APP"
        return "the welcome page", welcome, [nothing]
    name = str(found.target)
    return name, load(found.target), [f"Found {found.kind}: {name}"]

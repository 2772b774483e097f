"""The command line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from traceback import print_exception

import click

from rocket_cli._banner import banner
from rocket_cli._command import Chosen, SettingsCommand
from rocket_cli._errors import CommandError
from rocket_cli._listeners import location, start
from rocket_cli._log import check_access_log, configure_log, open_access_log
from rocket_cli._renewal import renew, reopen_log
from rocket_cli._serving import find_site, make_server
from rocket_cli._setting import Part
from rocket_cli._show import as_json, as_toml
from rocket_cli._signals import caught_signals, wait_for_end
from rocket_cli._version import __version__
from rocket_wsgi import AccessLog


@click.group()
@click.version_option(__version__, prog_name="rocket-cli", message="%(prog)s %(version)s")
def main() -> None:
    """Rocket, a threaded web server for Python."""


_EPILOG = (
    "Each setting can also be given in the environment, --max-body as ROCKET_MAX_BODY, or in a "
    "TOML file, as max-body. The command line goes before the environment, and that before the "
    "file."
)


@main.command(cls=SettingsCommand, epilog=_EPILOG)
def serve(*, chosen: Chosen) -> None:
    """Serve a WSGI application until SIGTERM, or SIGINT (Ctrl+C).

    MODULE:APP names it: myproject.wsgi:application, or myproject:create_app() for a factory. MODULE
    alone stands for its application or app. Without it, the application of the current directory
    is served: that of app.py, wsgi.py, a Django project or main.py.
    """
    with _traceback(chosen):
        site = find_site(chosen)
        configure_log(chosen["log-level"])
        access_log = _open_access_log(chosen)
        server = make_server(chosen, site, access_log)
        with access_log or nullcontext(), caught_signals() as events:
            start(server)
            if site.found:
                click.echo(site.found, err=True)
            for line in banner(site.name, chosen["threads"], server.listeners):
                click.echo(line, err=True)
            wait_for_end(
                server,
                events,
                chosen["graceful-timeout"],
                {
                    signal.SIGUSR1: lambda: reopen_log(access_log),
                    signal.SIGHUP: lambda: renew(server.listeners, access_log),
                },
            )


@main.command(cls=SettingsCommand, epilog=_EPILOG)
def check(*, chosen: Chosen) -> None:
    """Do all that serve does before it listens, and say whether it would.

    The application and the certificates are loaded; nothing is bound, and no file written. The exit
    code is 0 if all is well, and 2 if not.
    """
    with _traceback(chosen):
        site = find_site(chosen)
        configure_log(chosen["log-level"])
        path = chosen["access-log"]
        if path is not None:
            check_access_log(path, chosen.origin("access-log"))
        server = make_server(chosen, site, None)
        if site.found:
            click.echo(site.found)
        where = ", ".join(map(location, server.listeners))
        click.echo(f"OK: would serve {site.name} at {where}")


@main.command(cls=SettingsCommand, epilog=_EPILOG)
@click.option("--json", "wants_json", is_flag=True, help="Print JSON instead of TOML.")
def config(*, chosen: Chosen, wants_json: bool) -> None:
    """Print the settings that serve would use, and where each comes from.

    What is printed is a file that serve can read.
    """
    click.echo(as_json(chosen) if wants_json else as_toml(chosen), nl=False)


def _open_access_log(chosen: Chosen) -> AccessLog | None:
    path = chosen["access-log"]
    if path is None:
        return None
    options = chosen.arguments(Part.ACCESS_LOG)
    return open_access_log(path, chosen.origin("access-log"), **options)


@contextmanager
def _traceback(chosen: Chosen) -> Iterator[None]:
    """Show where an error comes from before it is reported, if that is wanted."""
    try:
        yield
    except CommandError as error:
        if chosen["log-level"] == "debug":
            print_exception(error.__cause__ or error, file=sys.stderr)
        raise

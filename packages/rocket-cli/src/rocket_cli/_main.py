"""The command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import print_exception

import click

from rocket_cli._certificates import make_acme
from rocket_cli._children import Forked
from rocket_cli._command import Chosen, SettingsCommand
from rocket_cli._errors import BootError, CommandError
from rocket_cli._listeners import location
from rocket_cli._log import check_access_log, configure_log
from rocket_cli._serving import find_site, make_server
from rocket_cli._show import as_json, as_toml
from rocket_cli._signals import caught_signals
from rocket_cli._supervisor import SIGNALS, Supervisor
from rocket_cli._version import __version__


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
    with _traceback(chosen), caught_signals(SIGNALS, ()) as events:
        configure_log(chosen["log-level"])
        try:
            sys.exit(Supervisor(chosen, events).run())
        except Forked as forked:
            task, channel = forked.task, forked.channel
    sys.exit(task.run(channel))


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
        server = make_server(chosen, site, None, acme=make_acme(chosen))
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


@contextmanager
def _traceback(chosen: Chosen) -> Iterator[None]:
    """Show where an error comes from before it is reported, if that is wanted."""
    try:
        yield
    except CommandError as error:
        if chosen["log-level"] == "debug":
            if isinstance(error, BootError):
                sys.stderr.write(error.traceback)
            else:
                print_exception(error.__cause__ or error, file=sys.stderr)
        raise

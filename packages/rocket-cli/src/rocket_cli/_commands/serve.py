"""The commands that take the settings. What they do is imported once they are called."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import print_exception
from typing import Final

import click

from rocket_cli._commands.settings_command import Chosen, SettingsCommand
from rocket_cli._errors import BootError, CommandError
from rocket_cli._settings.printing import as_json, as_toml

_EPILOG: Final = (
    "Each setting can also be given in the environment, --max-body as ROCKET_MAX_BODY, or in a "
    "TOML file, as max-body. The command line goes before the environment, and that before the "
    "file."
)


@click.command(cls=SettingsCommand, epilog=_EPILOG)
def serve(*, chosen: Chosen) -> None:
    """Serve a WSGI application until SIGTERM, or SIGINT (Ctrl+C).

    MODULE:APP names it: myproject.wsgi:application, or myproject:create_app() for a factory. MODULE
    alone stands for its application or app. Without it, the application of the current directory
    is served: that of app.py, wsgi.py, a Django project or main.py.
    """
    with _traceback(chosen):
        from rocket_cli._commands.running import run

        sys.exit(run(chosen))


@click.command(cls=SettingsCommand, epilog=_EPILOG)
def check(*, chosen: Chosen) -> None:
    """Do all that serve does before it listens, and say whether it would.

    The application and the certificates are loaded; nothing is bound, and no file written. The exit
    code is 0 if all is well, and 2 if not.
    """
    with _traceback(chosen):
        from rocket_cli._commands.running import rehearse

        for line in rehearse(chosen):
            click.echo(line)


@click.command(cls=SettingsCommand, epilog=_EPILOG)
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

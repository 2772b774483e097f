"""The command ``serve``."""

from __future__ import annotations

import sys

import click

from rocket_cli._commands.tracebacks import traceback_for_debug
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.options import SettingsCommand


@click.command(cls=SettingsCommand)
def serve(*, chosen: Chosen) -> None:
    """Serve a WSGI application until SIGTERM, or SIGINT (Ctrl+C).

    MODULE:APP names the application, such as myproject.wsgi:application, or
    "myproject:create_app()" for a factory. MODULE alone serves the application or app of that
    module. Without an argument, the application is searched for in app.py, wsgi.py, a Django
    project and main.py of the current directory.
    """
    with traceback_for_debug(chosen):
        from rocket_cli._commands.launch import run

        sys.exit(run(chosen))

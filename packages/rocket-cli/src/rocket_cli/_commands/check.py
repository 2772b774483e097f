"""The command ``check``."""

from __future__ import annotations

import click

from rocket_cli._commands.tracebacks import traceback_for_debug
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.options import SettingsCommand


@click.command(cls=SettingsCommand)
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
def check(*, chosen: Chosen, strict: bool) -> None:
    """Check settings, certificates and application without serving.

    Do what serve does before it listens: load the settings, the certificates and the application.
    No address is bound, and no file is written. The exit code is 0 if serve would start, otherwise
    2. Settings that are allowed and probably not meant are warnings.
    """
    with traceback_for_debug(chosen):
        from rocket_cli._commands.launch import dry_run

        for line in dry_run(chosen, strict=strict):
            click.echo(line)

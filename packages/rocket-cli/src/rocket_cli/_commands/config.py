"""The command ``config``."""

from __future__ import annotations

import click

from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.options import SettingsCommand
from rocket_cli._settings.printing import as_json, as_toml


@click.command(cls=SettingsCommand)
@click.option("--json", "wants_json", is_flag=True, help="Print JSON instead of TOML.")
def config(*, chosen: Chosen, wants_json: bool) -> None:
    """Print the settings that serve would use, and the source of each.

    The output is a valid settings file.
    """
    click.echo(as_json(chosen) if wants_json else as_toml(chosen), nl=False)

"""The command line."""

from __future__ import annotations

from typing import Final

import click

from rocket_cli._group import LazyGroup, Subcommand
from rocket_cli._version import __version__

_COMMANDS: Final = "rocket_cli._commands"
SUBCOMMANDS: Final = {
    "serve": Subcommand(_COMMANDS, "serve", "Serve a WSGI application"),
    "check": Subcommand(_COMMANDS, "check", "Say whether serve would serve, or what is wrong"),
    "config": Subcommand(_COMMANDS, "config", "Print the settings that serve would use"),
    "cert": Subcommand("rocket_cli._cert", "cert", "Make a certificate for development"),
    "completion": Subcommand(
        "rocket_cli._completion", "completion", "Print a script that completes commands in a shell"
    ),
}


@click.group(cls=LazyGroup, subcommands=SUBCOMMANDS)
@click.version_option(__version__, prog_name="rocket-cli", message="%(prog)s %(version)s")
def main() -> None:
    """Rocket, a threaded web server for Python."""

"""The command line."""

from __future__ import annotations

from typing import Any, Final

import click

from rocket_cli._commands.lazy_group import LazyGroup, Subcommand
from rocket_cli._logging.standard_descriptors import complete_descriptors
from rocket_cli._version import __version__

_COMMANDS: Final = "rocket_cli._commands.serve"
_ADMIN: Final = "rocket_cli._commands.admin"
SUBCOMMANDS: Final = {
    "serve": Subcommand(_COMMANDS, "serve", "Serve a WSGI application"),
    "check": Subcommand(_COMMANDS, "check", "Say whether serve would serve, or what is wrong"),
    "config": Subcommand(_COMMANDS, "config", "Print the settings that serve would use"),
    "top": Subcommand(_ADMIN, "top", "Watch a running server"),
    "stats": Subcommand(_ADMIN, "stats", "Print what a running server has done"),
    "threads": Subcommand(_ADMIN, "threads", "Print which request holds which thread, and where"),
    "connections": Subcommand(_ADMIN, "connections", "List its connections"),
    "log-level": Subcommand(_ADMIN, "log_level", "Change how much it logs"),
    "resize": Subcommand(_ADMIN, "resize", "Change the number of its threads"),
    "reload": Subcommand(_ADMIN, "reload", "Replace its processes by new ones"),
    "drain": Subcommand(_ADMIN, "drain", "Stop it gently"),
    "cert": Subcommand("rocket_cli._commands.cert", "cert", "Make a certificate for development"),
    "completion": Subcommand(
        "rocket_cli._commands.completion",
        "completion",
        "Print a script that completes commands in a shell",
    ),
}


class Main(LazyGroup):
    """The command itself."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, as a script does."""
        complete_descriptors()
        return super().main(*args, **kwargs)


@click.group(cls=Main, subcommands=SUBCOMMANDS)
@click.version_option(__version__, prog_name="rocket-cli", message="%(prog)s %(version)s")
def main() -> None:
    """Rocket, a threaded web server for Python."""

"""The command ``rocket-cli`` and the list of its subcommands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from rocket_cli._commands.lazy_group import LazyGroup, Subcommand
from rocket_cli._commands.usage_errors import explained
from rocket_cli._logging.standard_descriptors import complete_descriptors
from rocket_cli._version import __version__

_ADMIN: Final = "rocket_cli._commands.admin"
SUBCOMMANDS: Final = {
    "serve": Subcommand("rocket_cli._commands.serve", "serve", "Serve a WSGI application"),
    "check": Subcommand(
        "rocket_cli._commands.check",
        "check",
        "Check settings, certificates and application without serving",
    ),
    "config": Subcommand(
        "rocket_cli._commands.config", "config", "Print the settings that serve would use"
    ),
    "top": Subcommand(_ADMIN, "top", "Watch a running server"),
    "stats": Subcommand(_ADMIN, "stats", "Print the statistics of a running server"),
    "threads": Subcommand(_ADMIN, "threads", "Print what each thread of a running server does"),
    "connections": Subcommand(_ADMIN, "connections", "List the connections of a running server"),
    "log-level": Subcommand(_ADMIN, "log_level", "Change the log level of a running server"),
    "resize": Subcommand(
        _ADMIN, "resize", "Change the number of threads or processes of a running server"
    ),
    "reload": Subcommand(
        _ADMIN, "reload", "Reload the settings and application of a running server"
    ),
    "drain": Subcommand(_ADMIN, "drain", "Stop a running server gracefully"),
    "cert": Subcommand("rocket_cli._commands.cert", "cert", "Make a certificate for development"),
    "migrate": Subcommand(
        "rocket_cli._commands.migrate",
        "migrate",
        "Make a rocket.toml from the configuration of another server",
    ),
    "completion": Subcommand(
        "rocket_cli._commands.completion",
        "completion",
        "Print a script that lets a shell complete commands",
    ),
}

_NO_ARGUMENTS: Final = getattr(click.exceptions, "NoArgsIsHelpError", None)
"""What click raises, from version 8.2 on, to show the help where there are no arguments."""


class Main(LazyGroup):
    """The group of all commands."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command that the arguments name, as the script ``rocket-cli`` does."""
        complete_descriptors()
        return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments before the subcommand."""
        with _explained():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Read the arguments of the subcommand, and run it."""
        with _explained():
            return super().invoke(ctx)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise `CommandError` for an error in the use of a command."""
    try:
        yield
    except click.UsageError as error:
        if _NO_ARGUMENTS is not None and isinstance(error, _NO_ARGUMENTS):
            raise
        raise explained(error) from error


@click.group(cls=Main, subcommands=SUBCOMMANDS)
@click.version_option(__version__, prog_name="rocket-cli", message="%(prog)s %(version)s")
def main() -> None:
    """Rocket, a threaded web server for Python."""

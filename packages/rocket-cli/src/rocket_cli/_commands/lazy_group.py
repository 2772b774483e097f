"""A command whose subcommands are imported once they are called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click


class Subcommand(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        module: the module that defines it.
        name: its name in that module.
        summary: what it does, for the list of commands.
    """

    module: str
    name: str
    summary: str

    def load(self) -> click.Command:
        """The command itself."""
        command: click.Command = getattr(importlib.import_module(self.module), self.name)
        return command


class LazyGroup(click.Group):
    """A group of commands by name, listed in their order."""

    def __init__(self, *args: Any, subcommands: Mapping[str, Subcommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subcommands = subcommands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        del ctx
        return list(self.subcommands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one; None: there is none of this name."""
        del ctx
        subcommand = self.subcommands.get(cmd_name)
        return None if subcommand is None else subcommand.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what there is, without importing it."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.summary) for name, each in self.subcommands.items()])

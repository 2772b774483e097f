"""Where the value of a setting comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click
from click.core import ParameterSource

from rocket_cli._settings.config_file import ConfigFile

_FILE: Final = "rocket_cli.file"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from.

    Attributes:
        source: ``command line``, ``environment``, ``file`` or ``default``.
        place: the option, the variable, or the file and its line; empty for a default.
        name: how the setting is called there.
    """

    source: str
    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.place}: {self.name}" if self.source == "file" else self.name


def remember_file(ctx: click.Context, file: ConfigFile) -> None:
    """Have `origin` look for lines in ``file``."""
    ctx.meta[_FILE] = file


def file_of(ctx: click.Context) -> ConfigFile | None:
    """That file, if there is one."""
    file: ConfigFile | None = ctx.meta.get(_FILE)
    return file


def origin(ctx: click.Context, param: click.Parameter) -> Origin:
    """Where click has found the value of ``param``."""
    name = str(param.name)
    usual = param.opts[0] if isinstance(param, click.Option) else str(param.metavar).strip("[]")
    match ctx.get_parameter_source(name):
        case ParameterSource.ENVIRONMENT:
            return Origin("environment", str(param.envvar), str(param.envvar))
        case ParameterSource.DEFAULT_MAP:
            file: ConfigFile = ctx.meta[_FILE]
            key = name.replace("_", "-")
            return Origin("file", file.place(key), key)
        case ParameterSource.COMMANDLINE:
            return Origin("command line", usual, usual)
        case _:
            return Origin("default", "", usual)

"""The source of a setting's value: an option, a variable, a line of a file, or the default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click
from click.core import ParameterSource

from rocket_cli._settings.config_file import ConfigFile
from rocket_cli._settings.env_file import EnvFile, is_own

_FILE: Final = "rocket_cli.file"
_ENV_FILE: Final = "rocket_cli.env_file"


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a value; as text, the name by which a message refers to the setting.

    Attributes:
        source: ``command line``, ``environment``, ``file`` or ``default``.
        place: the option, the variable, or the file and the line; empty for a default.
        name: the name of the setting at that place.
    """

    source: str
    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.place}: {self.name}" if self.source == "file" else self.name


def remember_file(ctx: click.Context, file: ConfigFile) -> None:
    """Let `origin` look for lines in ``file``."""
    ctx.meta[_FILE] = file


def file_of(ctx: click.Context) -> ConfigFile | None:
    """Return the file given to `remember_file`; None if there is none."""
    file: ConfigFile | None = ctx.meta.get(_FILE)
    return file


def remember_env_file(ctx: click.Context, file: EnvFile) -> None:
    """Let `origin` look for lines in ``file``, too."""
    ctx.meta[_ENV_FILE] = file


def env_file_of(ctx: click.Context) -> EnvFile | None:
    """Return the file given to `remember_env_file`; None if there is none."""
    file: EnvFile | None = ctx.meta.get(_ENV_FILE)
    return file


def origin(ctx: click.Context, param: click.Parameter) -> Origin:
    """Return the source in which click has found the value of ``param``."""
    name = str(param.name)
    usual = param.opts[0] if isinstance(param, click.Option) else str(param.metavar).strip("[]")
    match ctx.get_parameter_source(name):
        case ParameterSource.ENVIRONMENT:
            variable = str(param.envvar)
            env_file = env_file_of(ctx)
            if env_file is not None and variable in env_file.values and is_own(variable):
                return Origin("file", env_file.place(variable), variable)
            return Origin("environment", variable, variable)
        case ParameterSource.DEFAULT_MAP:
            file: ConfigFile = ctx.meta[_FILE]
            key = name.replace("_", "-")
            return Origin("file", file.place(key), key)
        case ParameterSource.COMMANDLINE:
            return Origin("command line", usual, usual)
        case _:
            return Origin("default", "", usual)

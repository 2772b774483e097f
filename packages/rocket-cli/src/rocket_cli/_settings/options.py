"""The options that the settings are on the command line, and the commands that take them.

`SettingsCommand` has an option for each setting; `serve`, `check` and `config` are such commands.
`AdminCommand` has the options that lead to the admin socket of a running server.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final

import click

from rocket_cli._errors import CommandError
from rocket_cli._settings.all_settings import SECTIONS, SETTINGS, USUAL
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.config_file import ConfigFile, find_config
from rocket_cli._settings.env_file import EnvFile, enter
from rocket_cli._settings.kinds import FILE
from rocket_cli._settings.origin import (
    env_file_of,
    file_of,
    origin,
    remember_env_file,
    remember_file,
)
from rocket_cli._settings.setting import Setting

_BY_NAME: Final = {each.name: each for each in SETTINGS}

_ALL: Final = "rocket_cli.help_all"
"""Where a context keeps that the help is to show all settings."""

_SOURCES: Final = (
    "Each setting can also be given by an environment variable or by a key in a TOML file: "
    "--max-body by ROCKET_MAX_BODY or max-body. An option overrides the variable, and the variable "
    "overrides the file."
)


class SettingsCommand(click.Command):
    """A command with an option for each setting. Its callback gets them as ``chosen``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epilog = _SOURCES
        self.params = [_config_option(), *map(_parameter, SETTINGS), *self.params, _help_all()]

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Remember the arguments, so that a reload can read them once more."""
        again = list(args)
        ctx = super().make_context(info_name, args, parent, **extra)

        def choose() -> Chosen:
            return self._choose(self.make_context(info_name, list(again), parent, **extra))

        ctx.obj = choose
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        """Call the callback with the settings."""
        ctx.params["chosen"] = self._choose(ctx)
        return super().invoke(ctx)

    def _choose(self, ctx: click.Context) -> Chosen:
        parameters = {each.name: each for each in self.params}
        values = {each.name: ctx.params.pop(each.parameter) for each in SETTINGS}
        origins = {each.name: origin(ctx, parameters[each.parameter]) for each in SETTINGS}
        file: ConfigFile | None = file_of(ctx)
        env_file = values["env-file"]
        chdir: Path | None = values["chdir"]
        chosen = Chosen(
            values,
            origins,
            ctx.obj,
            None if file is None else file.path.absolute(),
            env_file_of(ctx),
            depends_on_directory=not (
                chdir is not None
                and chdir.is_absolute()
                and (file is None or file.path.is_absolute())
                and (env_file is None or env_file.is_absolute())
            ),
        )
        chosen.require_needs()
        return chosen

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options to the help, by section: the usual ones, or all of them."""
        names = {each.name for each in SETTINGS} if ctx.meta.get(_ALL) else USUAL
        records = {
            parameter.name: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            and (record := parameter.get_help_record(ctx)) is not None
        }
        for title, settings in SECTIONS.items():
            found = [(each, records.pop(each.parameter, None)) for each in settings]
            rows = [row for each, row in found if row is not None and each.name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        with formatter.section("Options"):
            formatter.write_dl(list(records.values()))


class AdminCommand(click.Command):
    """A command that asks a running server. Its callback gets the ``path`` of the admin socket."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        admin = _parameter(
            _BY_NAME["admin"], "Ask the server by this Unix socket, its --admin path."
        )
        self.params = [_config_option(), admin, *self.params]

    def invoke(self, ctx: click.Context) -> Any:
        """Call the callback with the path."""
        path = ctx.params.pop("admin")
        if path is None:
            raise CommandError(
                "no admin socket given: use the server's --admin path "
                "(--admin PATH, ROCKET_ADMIN, or admin in rocket.toml)"
            )
        ctx.params["path"] = path
        return super().invoke(ctx)


def _parameter(setting: Setting, help_text: str | None = None) -> click.Parameter:
    """Return the option or argument for a setting, by default with the setting's own help."""
    common: dict[str, Any] = {
        "type": setting.kind,
        "envvar": setting.variable,
        "metavar": setting.metavar,
    }
    if setting.argument:
        common["metavar"] = f"[{setting.metavar}]"
        return click.Argument([setting.parameter], required=False, **common)
    if setting.many:
        common["multiple"] = True
    if setting.name == "env-file":  # whose variables may be those of other settings
        common["is_eager"] = True
        common["callback"] = _use_env_file
    names = f"--{setting.name}"
    if bool in setting.kind.types:
        names = f"{names}/--no-{setting.name}"
        del common["metavar"]
    if help_text is None:
        default = f" Default: {setting.default_text}." if setting.default_text else ""
        help_text = f"{setting.description}{default}"
    return click.Option([names], default=setting.default, help=help_text, **common)


def _help_all() -> click.Option:
    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_all,
        help=f"Show the other {len(SETTINGS) - len(USUAL)} settings, too, and exit.",
    )


def _show_all(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    del parameter
    if wanted:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=FILE,
        metavar="FILE",
        envvar="ROCKET_CONFIG",
        is_eager=True,
        expose_value=False,
        callback=_use_file,
        help="Read settings from this TOML file. Default: rocket.toml or, if there is none, the "
        "table tool.rocket of pyproject.toml, in the current directory.",
    )


def _use_env_file(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Set the variables of the file, before click looks for those of settings."""
    del parameter
    file = None if path is None else EnvFile(path)
    enter({} if file is None else file.values)
    if file is not None:
        remember_env_file(ctx, file)
    return path


def _use_file(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Let click take the settings that have no option and no variable from a settings file."""
    del parameter
    file = find_config() if path is None else ConfigFile(path)
    if file is None:
        return
    if not file.has_settings:
        raise CommandError(f"{file.path} has no settings: add the table tool.rocket")
    for key, value in file.values.items():
        found = _BY_NAME.get(key)
        if found is None:
            near = difflib.get_close_matches(key, _BY_NAME, n=1)
            advice = f"did you mean {near[0]}?" if near else "see rocket-cli serve --help"
            raise CommandError(f"{file.place(key)}: there is no setting {key}; {advice}")
        complaint = found.complaint(value)
        if complaint is not None:
            raise CommandError(f"{file.place(key)}: {key} {complaint}")
    remember_file(ctx, file)
    ctx.default_map = {_BY_NAME[key].parameter: value for key, value in file.values.items()}

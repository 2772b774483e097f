"""Commands that take the settings."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any

import click

from rocket_cli._errors import CommandError
from rocket_cli._settings.config_file import ConfigFile, find_config
from rocket_cli._settings.kinds import FILE
from rocket_cli._settings.origin import Origin, file_of, origin, remember_file
from rocket_cli._settings.setting import Part, Section, Setting
from rocket_cli._settings.table import SETTINGS

_BY_NAME = {each.name: each for each in SETTINGS}


class Chosen:
    """The settings that are in force, and where each comes from."""

    def __init__(
        self,
        values: Mapping[str, Any],
        origins: Mapping[str, Origin],
        again: Callable[[], Chosen],
        file: Path | None,
        *,
        depends_on_directory: bool,
    ) -> None:
        """``again`` reads all of them once more; ``file`` is the file that some come from.

        With ``depends_on_directory`` they were other ones if the command were started elsewhere.
        """
        self._values = values
        self._origins = origins
        self.again = again
        self.file = file
        self.depends_on_directory = depends_on_directory

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def changed(self, name: str, value: Any) -> Chosen:
        """The same with another value for one setting."""
        changed = copy(self)
        changed._values = {**self._values, name: value}  # noqa: SLF001 - of the same class
        return changed

    def origin(self, name: str) -> Origin:
        """Where a setting comes from."""
        return self._origins[name]

    def arguments(self, part: Part) -> dict[str, Any]:
        """What ``part`` is given, by keyword; what has no value is left out."""
        return {
            each.keyword: self._values[each.name]
            for each in SETTINGS
            if each.part is part and self._values[each.name] is not None
        }


class SettingsCommand(click.Command):
    """A command with an option for each setting, which its callback gets as ``chosen``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [_config_option(), *map(_parameter, SETTINGS), *self.params]

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Remember the arguments, to read them once more."""
        again = list(args)
        ctx = super().make_context(info_name, args, parent, **extra)

        def choose() -> Chosen:
            return self._choose(self.make_context(info_name, list(again), parent, **extra))

        ctx.obj = choose
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        """Call back."""
        ctx.params["chosen"] = self._choose(ctx)
        return super().invoke(ctx)

    def _choose(self, ctx: click.Context) -> Chosen:
        parameters = {each.name: each for each in self.params}
        values = {each.name: ctx.params.pop(each.parameter) for each in SETTINGS}
        origins = {each.name: origin(ctx, parameters[each.parameter]) for each in SETTINGS}
        file: ConfigFile | None = file_of(ctx)
        chdir: Path | None = values["chdir"]
        chosen = Chosen(
            values,
            origins,
            ctx.obj,
            None if file is None else file.path.absolute(),
            depends_on_directory=not (
                chdir is not None
                and chdir.is_absolute()
                and (file is None or file.path.is_absolute())
            ),
        )
        _require_needs(chosen)
        return chosen

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by what they are about."""
        records = {
            parameter.name: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            and (record := parameter.get_help_record(ctx)) is not None
        }
        for section in Section:
            names = [each.parameter for each in SETTINGS if each.section is section]
            rows = [records.pop(name) for name in names if name in records]
            if rows:
                with formatter.section(section.value):
                    formatter.write_dl(rows)
        with formatter.section("Options"):
            formatter.write_dl(list(records.values()))


class AdminCommand(click.Command):
    """A command that asks a running server, and is given the ``path`` of its admin endpoint."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [_config_option(), _parameter(_BY_NAME["admin"]), *self.params]

    def invoke(self, ctx: click.Context) -> Any:
        """Call back."""
        path = ctx.params.pop("admin")
        if path is None:
            raise CommandError(
                "give the Unix socket that the server has as --admin, here too: by --admin, "
                "ROCKET_ADMIN, or admin in its file of settings"
            )
        ctx.params["path"] = path
        return super().invoke(ctx)


def _require_needs(chosen: Chosen) -> None:
    for each in SETTINGS:
        changed = each.plain(chosen[each.name]) != each.default
        # A list of words that is empty, as for trusted-proxies, is a value.
        missing = [name for name in each.needs if chosen[name] in (None, False, ())]
        if each.needs and changed and len(missing) == len(each.needs):
            names = " or ".join(f"--{name}" for name in missing)
            raise CommandError(
                f"{chosen.origin(each.name)} does nothing without {names}: give that, too"
            )


def _parameter(setting: Setting) -> click.Parameter:
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
    names = f"--{setting.name}"
    if bool in setting.kind.types:
        names = f"{names}/--no-{setting.name}"
        del common["metavar"]
    help_text = setting.help
    if setting.default_text:
        help_text = f"{help_text} [{setting.default_text}]"
    return click.Option([names], default=setting.default, help=help_text, **common)


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=FILE,
        metavar="FILE",
        envvar="ROCKET_CONFIG",
        is_eager=True,
        expose_value=False,
        callback=_use_file,
        help="TOML file with settings. Without it rocket.toml or, if there is none, the table "
        "tool.rocket of pyproject.toml in the current directory.",
    )


def _use_file(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Have click take the settings that are given nowhere else from a file."""
    del parameter
    file = find_config() if path is None else ConfigFile(path)
    if file is None:
        return
    if not file.has_settings:
        raise CommandError(f"{file.path} has no settings: they are in its table tool.rocket")
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

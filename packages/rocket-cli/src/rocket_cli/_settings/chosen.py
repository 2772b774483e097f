"""The values of all settings, and their sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any

from rocket_cli._errors import CommandError
from rocket_cli._settings.all_settings import SETTINGS
from rocket_cli._settings.env_file import EnvFile
from rocket_cli._settings.kinds import Nothing
from rocket_cli._settings.origin import Origin
from rocket_cli._settings.setting import Part


class Chosen:
    """The settings in force, by name, and the source of each."""

    def __init__(
        self,
        values: Mapping[str, Any],
        origins: Mapping[str, Origin],
        again: Callable[[], Chosen],
        file: Path | None,
        env_file: EnvFile | None,
        *,
        depends_on_directory: bool,
    ) -> None:
        """Hold values and their origins by the names of the settings.

        Args:
            values: the value of each setting.
            origins: the source of each setting.
            again: reads all settings once more.
            file: the settings file; None if there is none.
            env_file: the file with variables; None if there is none.
            depends_on_directory: whether the command would find other settings if it were started
                in another directory.
        """
        self._values = values
        self._origins = origins
        self.again = again
        self.file = file
        self.env_file = env_file
        self.depends_on_directory = depends_on_directory

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables that the application gets, unless the environment has them."""
        return {} if self.env_file is None else self.env_file.values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def by_name(self) -> dict[str, Any]:
        """Return the value of each setting."""
        return dict(self._values)

    def changed(self, name: str, value: Any) -> Chosen:
        """Return a copy with another value for one setting."""
        changed = copy(self)
        changed._values = {**self._values, name: value}  # noqa: SLF001 - of the same class
        return changed

    def origin(self, name: str) -> Origin:
        """Return the source of a setting."""
        return self._origins[name]

    def arguments(self, part: Part) -> dict[str, Any]:
        """Return the keyword arguments for ``part``, without the settings that have no value.

        None stands for the word ``none``.
        """
        return {
            each.keyword: None if value is Nothing.NONE else value
            for each in SETTINGS
            if each.part is part and (value := self._values[each.name]) is not None
        }

    def require_needs(self) -> None:
        """Raise `CommandError` for a setting that has no effect because another one is missing."""
        for each in SETTINGS:
            changed = each.plain(self[each.name]) != each.default
            # An empty list of words is a value, as for trusted-proxies.
            missing = [name for name in each.needs if self[name] in (None, False, ())]
            if each.needs and changed and len(missing) == len(each.needs):
                names = " or ".join(f"--{name}" for name in missing)
                raise CommandError(
                    f"{self.origin(each.name)} has no effect without {names}: set that, too"
                )

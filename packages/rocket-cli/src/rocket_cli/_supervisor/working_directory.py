"""The working directory and the file mode mask of the processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from rocket_cli._errors import CommandError
from rocket_cli._settings.chosen import Chosen

_NOWHERE: Final = "/"
"""A directory from which no relative path of the settings is read."""


class WorkingDirectory:
    """The directory in which the command was started, and the one that ``--chdir`` chooses.

    Directories are remembered by their names and entered again: after a deployment, a link may lead
    to another directory, and the previous one may have been deleted.

    Attributes:
        directory: the directory in which the command was started, by the name that the shell uses
            for it; None if that directory had been deleted before.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Remember the present directory and mask; ``environ`` may name the directory (PWD)."""
        self.directory = _present_directory(environ)
        self._mask = os.umask(0o022)
        os.umask(self._mask)

    def enter(self, chosen: Chosen) -> None:
        """Enter the directory, and set the mask, of the settings. Raises `CommandError`."""
        os.umask(self._mask if chosen["umask"] is None else chosen["umask"])
        path: Path | None = chosen["chdir"]
        if path is None or not path.is_absolute():
            self._return()
        if path is not None:
            try:
                os.chdir(path)
            except OSError as error:
                raise CommandError(
                    f"{chosen.origin('chdir')}: cannot work in {path}: {error.strerror}"
                ) from error

    def keep(self, chosen: Chosen) -> None:
        """Enter the directory again if the present one was deleted. Raises `CommandError`."""
        try:
            Path.cwd()
        except OSError:
            self.enter(chosen)

    def leave(self, chosen: Chosen) -> None:
        """Return to the directory in which the command was started, to read its settings again.

        Raises `CommandError` if it is gone and the settings in ``chosen`` depend on it.
        """
        os.umask(self._mask)
        try:
            self._return()
        except CommandError:
            if chosen.depends_on_directory:
                raise
            os.chdir(_NOWHERE)

    def _return(self) -> None:
        if self.directory is None:
            raise CommandError(
                "the directory in which the command was started is gone: "
                "start it in an existing one, or give --chdir an absolute path"
            )
        try:
            os.chdir(self.directory)
        except OSError as error:
            raise CommandError(
                f"cannot work in {self.directory}, where the command was started: "
                f"{error.strerror}; create it again, or start the command with absolute paths "
                "for --chdir and --config"
            ) from error


def _present_directory(environ: Mapping[str, str]) -> Path | None:
    """Return the current directory by the shell's name for it (PWD), or else by its real path."""
    path = Path(environ.get("PWD", ""))
    with suppress(OSError):
        if path.is_absolute() and path.samefile("."):
            return path
    with suppress(OSError):
        return Path.cwd()
    return None

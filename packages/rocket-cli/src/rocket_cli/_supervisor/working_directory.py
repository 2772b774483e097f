"""The directory and the file mode mask that the processes work with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from rocket_cli._errors import CommandError
from rocket_cli._settings.chosen import Chosen

_NOWHERE: Final = "/"
"""Where nothing is read by a relative path."""


class WorkingDirectory:
    """Where the command was started, and where it works as it is told.

    Directories are remembered by name and entered anew: behind a link there is another one after a
    deployment, and the one from before may be gone.

    Attributes:
        directory: where the command was started, by the name that it had for the shell; None where
            that directory was gone already.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.directory = _present_directory(environ)
        self._mask = os.umask(0o022)
        os.umask(self._mask)

    def enter(self, chosen: Chosen) -> None:
        """Go where ``chosen`` says. Raises `CommandError`."""
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
        """Go there once more if the directory was removed meanwhile. Raises `CommandError`."""
        try:
            Path.cwd()
        except OSError:
            self.enter(chosen)

    def leave(self, chosen: Chosen) -> None:
        """Go back to where the command was started, as what was chosen there may have changed.

        Raises `CommandError` if that is gone, unless nothing of what was ``chosen`` depends on it.
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
                "start it in one that is there, or give --chdir an absolute path"
            )
        try:
            os.chdir(self.directory)
        except OSError as error:
            raise CommandError(
                f"cannot work in {self.directory}, where the command was started: "
                f"{error.strerror}; make it anew, or start the command with absolute paths for "
                "--chdir and --config"
            ) from error


def _present_directory(environ: Mapping[str, str]) -> Path | None:
    """The current directory by the name that the shell gives it, or else by its path."""
    path = Path(environ.get("PWD", ""))
    with suppress(OSError):
        if path.is_absolute() and path.samefile("."):
            return path
    with suppress(OSError):
        return Path.cwd()
    return None

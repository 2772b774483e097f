"""The directory and the file mode mask that the processes work with."""

from __future__ import annotations

import os
from pathlib import Path

from rocket_cli._command import Chosen
from rocket_cli._errors import CommandError


class Surroundings:
    """Where the command was started, and where it works as it is told."""

    def __init__(self) -> None:
        self._directory = Path.cwd()
        self._mask = os.umask(0o022)
        os.umask(self._mask)

    def enter(self, chosen: Chosen) -> None:
        """Go where ``chosen`` says. Raises `CommandError`."""
        self.leave()
        if chosen["umask"] is not None:
            os.umask(chosen["umask"])
        path = chosen["chdir"]
        if path is not None:
            try:
                os.chdir(path)
            except OSError as error:
                raise CommandError(
                    f"{chosen.origin('chdir')}: cannot work in {path}: {error.strerror}"
                ) from error

    def leave(self) -> None:
        """Go back to where the command was started."""
        os.umask(self._mask)
        os.chdir(self._directory)

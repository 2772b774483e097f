"""The file that tells the number of the supervisor's process."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rocket_cli._errors import CommandError
from rocket_cli._origin import Origin


class PidFile:
    """A file with the number of this process, and a line's end."""

    def __init__(self, path: Path, origin: Origin) -> None:
        """Write nothing yet."""
        self._path = path.absolute()
        self._origin = origin

    def write(self, predecessor: int | None = None) -> None:
        """Write the file, in one step.

        Raises `CommandError`, also when it names another process that runs, unless that is the
        ``predecessor``.
        """
        other = self._read()
        if other not in (None, os.getpid(), predecessor) and _runs(other):
            raise CommandError(
                f"{self._origin}: {self._path} says that process {other} serves: stop that, or "
                "remove the file"
            )
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            new.write_text(f"{os.getpid()}\n", encoding="ascii")
            new.replace(self._path)
        except OSError as error:
            raise CommandError(
                f"{self._origin}: {self._path} cannot be written: {error.strerror}"
            ) from error

    def remove(self) -> None:
        """Remove the file, unless another process has taken it over."""
        if self._read() == os.getpid():
            with suppress(OSError):
                self._path.unlink()

    def _read(self) -> int | None:
        try:
            return int(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None


def _runs(process: int | None) -> bool:
    try:
        os.kill(process or 0, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it runs, as another user
    return True

"""The log of the server's messages: opening, writing, reopening and checking it."""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from rocket_cli._errors import CommandError
from rocket_cli._logging.formatting import JSONLines, TextLines, has_colours, printable
from rocket_cli._logging.loggers import ServerLogger, direct
from rocket_cli._logging.lost_messages import LostMessages
from rocket_cli._logging.privileges import Maker, give_file, maker
from rocket_cli._logging.saturation_hint import SaturationHint
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.identity import identity
from rocket_cli._settings.origin import Origin
from rocket_wsgi.extending import descriptor_of, open_log

_log = logging.getLogger("rocket_cli")

STANDARD: Final = "-"
"""The path that stands for standard error or standard output."""


class _Handler(logging.Handler):
    """Writes each message by one system call before the logging call returns.

    So no message is left to be written at the end of the process, and processes can share a file.
    """

    def __init__(self, path: str, chosen: Chosen) -> None:
        """Open the file at ``path``; ``-`` is standard error. Raises `OSError`."""
        super().__init__()
        self._lost = LostMessages(path)
        self.path = path
        self.chosen = chosen
        self._file = self._file_at(path)
        self._descriptor = (
            sys.stderr.fileno() if self._file is None else self._open_file(self._file)
        )

    @staticmethod
    def _file_at(path: str) -> Path | None:
        return None if path == STANDARD else Path(path).absolute()

    @property
    def lost(self) -> int:
        """How many messages have been lost so far."""
        return self._lost.total

    def is_at(self, path: str) -> bool:
        """Return whether ``path``, from the current directory, is this log. Raises `OSError`."""
        return self._file == self._file_at(path)

    def reopen(self) -> None:
        """Open the file again by its name, unless the log is standard error. Raises `OSError`."""
        if self._file is not None:
            new = self._open_file(self._file)
            os.dup2(new, self._descriptor, inheritable=False)
            os.close(new)

    def _open_file(self, file: Path) -> int:
        if descriptor_of(file) is not None:
            return open_log(file)
        user = identity(self.chosen)
        with maker(file, user) as made_by:
            # The user may have put a named pipe there, which must not block the supervisor.
            descriptor = open_log(file, os.O_NONBLOCK if made_by is Maker.USER else 0)
        if made_by is Maker.ROOT and user is not None:
            give_file(descriptor, user)  # the worker processes will reopen it, too
        elif made_by is Maker.USER:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.EINVAL, "not a regular file")
            os.set_blocking(descriptor, True)
        return descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message."""
        try:
            self._write(record)
            if (lost := self._lost.take()) is not None:
                self._write(lost)
        except Exception as error:  # noqa: BLE001 - a handler must not raise
            self._lost.add(error)

    def _write(self, record: logging.LogRecord) -> None:
        data = f"{self.format(record)}\n".encode(errors="backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close_file(self) -> None:
        """Close the file, if there is one.

        `close` does not: the logging module calls it before the last message of the process, and
        when an application configures logging.
        """
        if self._file is not None:
            os.close(self._descriptor)


def lost_messages() -> int:
    """Return how many messages of this process could not be written to its log so far."""
    handler = _handler()
    return 0 if handler is None else handler.lost


def set_log_level(level: str) -> None:
    """Log messages of severity ``level`` and above from now on."""
    ServerLogger.least = logging.getLevelNamesMapping()[level.upper()]


def configure_log(chosen: Chosen, path: str | None = None) -> None:
    """Configure the log of the server by the settings, but at ``path`` if that is given.

    The loggers of the application are not changed. Raises `CommandError` if the log cannot be
    opened.
    """
    path = path or chosen["error-log"]
    present = _handler()
    try:
        handler = present if present is not None and present.is_at(path) else _Handler(path, chosen)
    except OSError as error:
        raise unwritable(path, chosen.origin("error-log"), _refusal(error, chosen)) from error
    handler.chosen = chosen
    handler.filters = [SaturationHint(chosen["admin"])]
    json = chosen["log-format"] == "json"
    colours = path == STANDARD and has_colours(sys.stderr)
    handler.setFormatter(JSONLines() if json else TextLines(colours=colours))
    direct(handler)
    set_log_level(chosen["log-level"])
    if present not in (None, handler):
        present.close_file()


def _handler() -> _Handler | None:
    """Return the handler that `configure_log` has made; None before that."""
    return ServerLogger.output if isinstance(ServerLogger.output, _Handler) else None


def reopen_log() -> None:
    """Open the log again by its name, after the file has been moved away, as by logrotate."""
    handler = _handler()
    if handler is None:
        return
    try:
        handler.reopen()
    except OSError as error:
        _log.error(
            "cannot reopen the log %s (%s): messages still go to the old file",
            handler.path,
            _refusal(error, handler.chosen),
        )


def announce(chosen: Chosen, lines: Iterable[str]) -> None:
    """Print lines for the operator, or log them if standard error is a JSON log."""
    as_messages = chosen["log-format"] == "json" and chosen["error-log"] == STANDARD
    for line in lines:
        if as_messages:
            _log.info("%s", line)
        else:
            click.echo(printable(line), err=True)


def check_log(chosen: Chosen, name: str) -> None:
    """Raise `CommandError` if the file of the setting ``name`` cannot be written; make no file."""
    path = chosen[name]
    if path in (None, STANDARD) or descriptor_of(path) is not None:
        return
    file = Path(path)
    try:
        with maker(file, identity(chosen)):
            reason = _obstacle(file)
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise unwritable(path, chosen.origin(name), reason)


def _obstacle(file: Path) -> str:
    directory = file.absolute().parent
    if file.is_dir():
        return "it is a directory"
    if file.exists():
        return "" if os.access(file, os.W_OK, effective_ids=True) else "permission denied"
    if not directory.is_dir():
        return f"there is no directory {directory}"
    usable = os.access(directory, os.W_OK | os.X_OK, effective_ids=True)
    return "" if usable else "permission denied"


def _refusal(error: OSError, chosen: Chosen) -> str:
    """Return why the log cannot be opened and, if permission is denied, for which user."""
    user = chosen["user"]
    if isinstance(error, PermissionError) and user is not None:
        return f"{error.strerror} for the user {user}"
    return str(error.strerror)


def unwritable(path: str, origin: Origin, reason: str) -> CommandError:
    """Return the error for a log that cannot be written."""
    return CommandError(
        f"{origin} {path!r} cannot be written: {reason}; "
        "use the path of a writable file, or - for the standard stream"
    )

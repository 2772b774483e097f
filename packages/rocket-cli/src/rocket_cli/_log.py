"""Where the server's messages and the access log go."""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from rocket_cli._errors import CommandError
from rocket_cli._origin import Origin
from rocket_wsgi import AccessLog

_PACKAGES = ("rocket_core", "rocket_wsgi", "rocket_tls", "rocket_cli")


class _Formatter(logging.Formatter):
    def formatTime(  # noqa: N802 - the base class calls it so
        self,
        record: logging.LogRecord,
        datefmt: str | None = None,  # noqa: ARG002 - as above
    ) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        return moment.isoformat(timespec="milliseconds")


class _Handler(logging.StreamHandler[TextIO]):
    """The handler that `configure_log` has added, which it replaces when it is called again."""


def configure_log(level: str) -> None:
    """Write the server's messages of ``level`` and above to standard error.

    To be called once more after the application is loaded. Its own loggers are left to it.
    """
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for package in _PACKAGES:
        logger = logging.getLogger(package)
        logger.setLevel(level.upper())
        for each in [each for each in logger.handlers if isinstance(each, _Handler)]:
            logger.removeHandler(each)
        logger.addHandler(handler)
        logger.propagate = False
    # An application that configures logging disables, unless it takes care, all loggers of others.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _PACKAGES:
            logging.getLogger(name).disabled = False


def open_access_log(path: str, origin: Origin, **options: Any) -> AccessLog:
    """The access log that appends to the file ``path``, ``-`` for standard output.

    Raises `CommandError`, which tells the origin, when the file cannot be written.
    """
    if path == "-":
        return AccessLog(sys.stdout, **options)
    try:
        return AccessLog(path, **options)
    except OSError as error:
        raise CommandError(
            f"{origin} {path!r} cannot be written: {error.strerror}; "
            "use the path of a file that can, or - for standard output"
        ) from error


def check_access_log(path: str, origin: Origin) -> None:
    """Raise `CommandError` if `open_access_log` would; no file is made."""
    if path == "-":
        return
    file = Path(path)
    directory = file.absolute().parent
    if file.is_dir():
        reason = "it is a directory"
    elif file.exists():
        reason = "" if os.access(file, os.W_OK) else "permission denied"
    elif not directory.is_dir():
        reason = f"there is no directory {directory}"
    else:
        reason = "" if os.access(directory, os.W_OK | os.X_OK) else "permission denied"
    if reason:
        raise CommandError(f"{origin} {path!r} cannot be written: {reason}")

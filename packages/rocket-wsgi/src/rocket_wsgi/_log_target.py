"""Where the lines of the access log go."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence


class Target(ABC):
    """Takes lines without their ends. Used by one thread at a time."""

    @abstractmethod
    def write(self, lines: Sequence[str]) -> None:
        """Write ``lines``; returns when they are written. Raises `OSError`, `ValueError`."""

    def reopen(self) -> None:  # noqa: B027 - only files can be moved away
        """Go on in a file of the same name, if that was moved away. Raises `OSError`."""

    def close(self) -> None:  # noqa: B027 - what was given open is left open
        """Release what was opened."""


class FileTarget(Target):
    """Appends to a file, many lines by one system call, so that processes may share it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._descriptor = self._open()
        self._torn = False
        """Whether the file ends in a part of a line."""

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def write(self, lines: Sequence[str]) -> None:
        data = ("\n" * self._torn + "\n".join(lines) + "\n").encode("ascii")
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        finally:
            if written:
                self._torn = not data.endswith(b"\n", 0, written)

    def reopen(self) -> None:
        descriptor = self._open()
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._torn = False

    def close(self) -> None:
        os.close(self._descriptor)


class StreamTarget(Target):
    """Writes to an open text stream, such as ``sys.stdout``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, lines: Sequence[str]) -> None:
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()


class LoggerTarget(Target):
    """Hands each line to a logger, at level INFO."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def write(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._logger.info("%s", line)


def make_target(target: str | os.PathLike[str] | TextIO | logging.Logger) -> Target:
    """The target for what an `AccessLog` was given. Raises `OSError`, `TypeError`."""
    if isinstance(target, logging.Logger):
        return LoggerTarget(target)
    if isinstance(target, str | os.PathLike):
        return FileTarget(target)
    if hasattr(target, "write"):
        return StreamTarget(target)
    raise TypeError(f"the access log needs a path, a text stream or a logger, not {target!r}")

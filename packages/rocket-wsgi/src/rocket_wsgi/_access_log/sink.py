"""Where the lines of the access log go."""

from __future__ import annotations

import errno
import logging
import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})", re.ASCII)
_STANDARD: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
_FIRST_OTHER: Final = 3
_MOST_LINKS: Final = 40


def open_log(path: str | os.PathLike[str], flags: int = 0) -> int:
    """Open a file to append to, with more ``flags`` of `os.open`; the descriptor.

    ``/dev/stdout``, ``/dev/stderr``, ``/dev/fd/N`` and ``/proc/self/fd/N`` mean the descriptor that
    the process was given under this number: the system would not let another user open its pipe
    anew, and nobody its socket. A link to standard output or standard error is followed. Raises
    `OSError`.
    """
    number = descriptor_of(path)
    if number is None:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | flags, 0o666)
    # What was given can be inherited; what this process has opened itself cannot (PEP 446).
    if number >= _FIRST_OTHER and not os.get_inheritable(number):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), os.fspath(path))
    return os.dup(number)


def descriptor_of(path: str | os.PathLike[str]) -> int | None:
    """The number of the descriptor that ``path`` means; None for every other path."""
    text = os.path.normpath(path)
    number = _named(text)
    if number is not None:
        return number
    for _ in range(_MOST_LINKS):
        try:
            text = os.path.normpath(Path(text).parent / Path(text).readlink())
        except OSError:
            return None
        number = _named(text)
        if number is not None:
            return number if number in _STANDARD.values() else None
    return None


def _named(text: str) -> int | None:
    match = _DESCRIPTOR.fullmatch(text)
    return int(match[1]) if match else _STANDARD.get(text)


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
        self._descriptor = open_log(path)
        self._torn = False
        """Whether the file ends in a part of a line."""

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
        descriptor = open_log(self._path)
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

"""The sinks of the access log: a file, a text stream or a logger."""

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
"""The lowest number of a descriptor that is not a standard stream."""

_MOST_LINKS: Final = 40
"""The number of symbolic links after which a path counts as a loop, as in Linux."""


def open_log(path: str | os.PathLike[str], flags: int = 0) -> int:
    """Open a file for appending, with further ``flags`` of `os.open`. Return the descriptor.

    ``/dev/stdout``, ``/dev/stderr``, ``/dev/fd/N`` and ``/proc/self/fd/N`` stand for a descriptor
    that the process was started with, and the result is a duplicate of it. Opening the path instead
    would fail for a socket, and for a pipe of another user. A symbolic link to standard output or
    standard error is followed. Raises `OSError`.
    """
    number = descriptor_of(path)
    if number is None:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | flags, 0o666)
    # An inherited descriptor is inheritable; one that this process opened is not (PEP 446).
    if number >= _FIRST_OTHER and not os.get_inheritable(number):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), os.fspath(path))
    return os.dup(number)


def descriptor_of(path: str | os.PathLike[str]) -> int | None:
    """Return the number of the descriptor that ``path`` stands for; None for any other path."""
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


class Sink(ABC):
    """Receives lines without their line ends. Only the writer's thread uses it."""

    @abstractmethod
    def write(self, lines: Sequence[str]) -> None:
        """Write ``lines``, and return when they are written. Raises `OSError`, `ValueError`."""

    def reopen(self) -> None:  # noqa: B027 - only files are rotated
        """Continue in a new file if the old one has been renamed. Raises `OSError`."""

    def close(self) -> None:  # noqa: B027 - a stream or logger belongs to the caller
        """Close the file that this sink has opened."""


class FileSink(Sink):
    """Appends to a file, many lines with one system call, so that processes can share the file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._descriptor = open_log(path)
        self._torn = False
        """Whether the file ends within a line, because a write failed there."""

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


class StreamSink(Sink):
    """Writes to an open text stream, such as ``sys.stdout``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, lines: Sequence[str]) -> None:
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()


class LoggerSink(Sink):
    """Passes each line to a logger at level INFO."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def write(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._logger.info("%s", line)


def make_sink(sink: str | os.PathLike[str] | TextIO | logging.Logger) -> Sink:
    """Return the sink for the argument of an `AccessLog`. Raises `OSError`, `TypeError`."""
    if isinstance(sink, logging.Logger):
        return LoggerSink(sink)
    if isinstance(sink, str | os.PathLike):
        return FileSink(sink)
    if hasattr(sink, "write"):
        return StreamSink(sink)
    raise TypeError(f"the access log needs a path, a text stream or a logger, not {sink!r}")

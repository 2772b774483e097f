"""Redis's protocol, versions 2 and 3: commands as they arrive, and the forms of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rocket_core import Connection

MAX_LINE: Final = 64 * 1024
MAX_ARGUMENTS: Final = 64 * 1024
MAX_COMMAND: Final = 16 * 1024 * 1024
"""Bytes of a command's arguments together."""

OK: Final = b"+OK\r\n"


class ProtocolError(Exception):
    """What arrives is not the protocol, so that nothing after it can be understood."""


class Client:
    """The commands of one client, read as far as they have arrived.

    Arguments are taken as they come, so that none is looked at again for every piece of the next.
    """

    def __init__(self) -> None:
        self.version = 2
        self.whole: list[list[bytes]] = []
        self.error: ProtocolError | None = None
        """What follows the commands in `whole`."""
        self._arguments: list[bytes] = []
        self._missing = 0
        self._size: int | None = None
        self._total = 0

    @property
    def partial(self) -> bool:
        """Whether a command has begun and is not whole."""
        return self._missing > 0

    @property
    def null(self) -> bytes:
        """The answer for what does not exist."""
        return b"$-1\r\n" if self.version == 2 else b"_\r\n"

    def map(self, items: dict[bytes, bytes]) -> bytes:
        """Answers by name, which version 2 has as an array."""
        lines = b"".join(bulk(name) + answer for name, answer in items.items())
        if self.version == 2:
            return b"*%d\r\n%b" % (2 * len(items), lines)
        return b"%%%d\r\n%b" % (len(items), lines)

    def read(self, connection: Connection) -> None:
        """Take everything that is whole from what the connection has buffered."""
        try:
            while self._read_argument(connection) if self._missing else self._begin(connection):
                pass
        except ProtocolError as error:
            self.error = error

    def _begin(self, connection: Connection) -> bool:
        line = self._line(connection)
        if line is None:
            return False
        if not line.startswith(b"*"):
            self.whole.append(line.split())
            return True
        self._missing = _length(line, MAX_ARGUMENTS, "multibulk")
        self._arguments = []
        self._total = 0
        if not self._missing:
            self.whole.append([])
        return True

    def _read_argument(self, connection: Connection) -> bool:
        if self._size is None:
            line = self._line(connection)
            if line is None:
                return False
            if not line.startswith(b"$"):
                raise ProtocolError(f"expected '$', got '{line[:1].decode('latin-1')}'")
            self._size = _length(line, MAX_COMMAND - self._total, "bulk")
        if connection.buffered < self._size + 2:
            return False
        self._arguments.append(connection.take(self._size))
        if connection.take(2) != b"\r\n":
            raise ProtocolError("expected a line end after a bulk string")
        self._total += self._size
        self._size = None
        self._missing -= 1
        if not self._missing:
            self.whole.append(self._arguments)
        return True

    def _line(self, connection: Connection) -> bytes | None:
        line = connection.take_through(b"\n")
        if (connection.buffered if line is None else len(line)) > MAX_LINE:
            raise ProtocolError("too big inline request")
        return None if line is None else line.removesuffix(b"\r")


def _length(line: bytes, limit: int, what: str) -> int:
    digits = line[1:]
    if digits.isdigit() and len(digits) < 10 and int(digits) <= limit:
        return int(digits)
    raise ProtocolError(f"invalid {what} length")


def error(text: str) -> bytes:
    """An error; it must stay on its line."""
    return f"-{' '.join(text.split())}\r\n".encode("latin-1", "replace")


def integer(number: int) -> bytes:
    return b":%d\r\n" % number


def bulk(value: bytes) -> bytes:
    """A string of any bytes."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def array(items: Sequence[bytes]) -> bytes:
    """An array of answers."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))

"""The client of the admin endpoint."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Final, Self

from rocket_cli._admin.protocol import PATIENCE, question
from rocket_cli._admin.reply import Reply
from rocket_cli._errors import CommandError

_RECEIVE: Final = 1 << 16


class RefusedError(CommandError):
    """The server answered that it cannot carry out the command, which exits with code 1."""

    exit_code = 1


class UnreachableError(CommandError):
    """No server answers; the command exits with code 2."""


class AdminClient:
    """A connection to the admin endpoint; as a context manager it closes itself."""

    def __init__(self, path: Path, *, patience: float | None = PATIENCE) -> None:
        """Connect to the socket at ``path``. Raises `UnreachableError`.

        ``patience`` are the seconds to wait for each answer; None means without limit.
        """
        self._path = path
        self._patience = patience
        self._buffer = bytearray()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise UnreachableError(f"{path}: {_advice(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Reply:
        """Return the answers of all processes. Raises `RefusedError` or `UnreachableError`."""
        try:
            self._socket.sendall(question(command, arguments))
            line = self._read_line()
        except TimeoutError as error:
            raise UnreachableError(
                f"{self._path}: no answer within {self._patience:g} seconds"
            ) from error
        except OSError as error:
            raise UnreachableError(f"{self._path}: {error.strerror}") from error
        try:
            reply = json.loads(line)
            if "error" in reply:
                raise RefusedError(reply["error"])
            return Reply(reply["answers"], reply["ended"])
        except (ValueError, TypeError, KeyError) as error:
            raise UnreachableError(
                f"{self._path}: this is not the admin socket of a Rocket server"
            ) from error

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            data = self._socket.recv(_RECEIVE)
            if not data:
                raise UnreachableError(f"{self._path}: the server closed the connection")
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line


def _advice(error: OSError) -> str:
    """Return what is wrong with the socket, and what to do about it."""
    match error:
        case FileNotFoundError():
            return "there is no such socket; start the server with --admin and this path"
        case ConnectionRefusedError():
            return "no server listens there any more; start it with --admin and this path"
        case PermissionError():
            return "permission denied; run this command as the user of the server"
        case _:
            return f"{error.strerror or error}; use the server's --admin path"

"""A key-value server that Redis clients can talk to, in the blocking style.

python blocking.py [HOST:PORT]
"""

from __future__ import annotations

from commands import MAX_ARGUMENTS, Commands, Store
from listening import run
from protocol import CRLF, MAX_LINE, MAX_SIZE, ProtocolError, encode, length, version_after
from rocket_core import Connection, State, Worker


class KeyValueWorker(Worker):
    """Serves one command at a time, and waits for the rest of a command that has begun."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands

    def serve(self, connection: Connection) -> State:
        version = connection.context or 2
        try:
            words = read_command(connection)
        except ProtocolError as error:
            connection.write(encode(error, version))
            return State.LINGER
        if words:
            answer = self.commands.answer(words)
            connection.context = version = version_after(answer, version)
            connection.write(encode(answer, version))
        return State.IDLE


def read_command(connection: Connection) -> list[bytes]:
    """Read a command: an array of strings, or the words of a line."""
    line = read_line(connection)
    if not line.startswith(b"*"):
        return line.split()
    words: list[bytes] = []
    left = MAX_SIZE
    for _ in range(length(line, b"*", MAX_ARGUMENTS)):
        size = length(read_line(connection), b"$", left)
        words.append(connection.read(size))
        if connection.read(2) != CRLF:
            raise ProtocolError("a string is longer than its length")
        left -= size
    return words


def read_line(connection: Connection) -> bytes:
    line = connection.readline(MAX_LINE)
    if not line.endswith(CRLF):
        raise ProtocolError("a line is too long or incomplete")
    return line.removesuffix(CRLF)


if __name__ == "__main__":
    store = Store()
    run(lambda: KeyValueWorker(Commands(store)))

"""A server of lines in a process of its own, for clients that are slow in any way."""

from __future__ import annotations

import tempfile
from typing import Any

from coresupport import LineWorker, shout
from rocket_core import Connection, Server, State, Timeouts
from rocket_core.testing import NarrowListener, ServerProcess, report_to_parent

THREADS = 4
FILE_SIZE = 10_000_000
PIECE = bytes(50_000)


class SlowServer(ServerProcess):
    """Answers lines with `THREADS` threads: the commands of `main`, others in upper case."""

    def __init__(self, timeouts: dict[str, float], **options: Any) -> None:
        super().__init__(f"import slowserver; slowserver.main({timeouts!r}, {options!r})")


# -- in the other process --------------------------------------------------------------------------


def main(timeouts: dict[str, float], options: dict[str, Any]) -> None:
    """Serve until standard input ends, and answer each of its lines with a report."""
    with tempfile.TemporaryFile() as file:
        file.truncate(FILE_SIZE)

        def handle(connection: Connection, line: bytes, body: bytes) -> State:
            match line.split():
                case [b"size", size]:
                    connection.write(bytes(int(size)))
                case [b"pieces", count]:
                    for _ in range(int(count)):
                        connection.write(PIECE)
                case [b"file"]:
                    connection.send_file(file.fileno(), 0, FILE_SIZE)
                case [b"ask"]:
                    connection.readline()
                case [b"bye"]:
                    connection.write(b"BYE\n")
                    return State.LINGER
                case _:
                    return shout(connection, line, body)
            return State.IDLE

        with Server(
            lambda: LineWorker(handle),
            [NarrowListener()],
            min_threads=THREADS,
            max_threads=THREADS,
            timeouts=Timeouts(**timeouts),
            **options,
        ) as server:
            report_to_parent(server)

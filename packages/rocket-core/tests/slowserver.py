"""A server in a process of its own, whose memory it shares with no client, and what it says."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from coresupport import (
    Client,
    LineWorker,
    NarrowListener,
    Script,
    descriptors,
    eventually,
    port_of,
    shout,
)
from rocket_core import Connection, Listener, Server, State, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

THREADS = 4
FILE_SIZE = 10_000_000
PIECE = bytes(50_000)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a server says of itself.

    Attributes:
        busy: threads that serve a client, those included that wait for it.
        resident: bytes of memory.
        descriptors: how many are open.
    """

    connections: dict[str, int]
    closes: dict[str, int]
    threads: int
    stalled: int
    held: int
    busy: int
    resident: int
    descriptors: int


class SlowServer:
    """Answers lines in upper case, and those of `handle` as it says, with `THREADS` threads."""

    def __init__(self, timeouts: dict[str, float], **options: Any) -> None:
        self._script = Script(f"import slowserver; slowserver.main({timeouts!r}, {options!r})")

    def __enter__(self) -> Self:
        self._script.__enter__()
        self._target = Listener(f"127.0.0.1:{int(self._script.read_line())}")
        self._clients = ExitStack()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._script, self._clients:
            if error is None:
                assert self._script.finish() == ""

    def connect(self, source: str | None = None) -> Client:
        """A client that takes little at once, closed with the server."""
        client = Client(self._target, receive_buffer=16 * 1024, source=source)
        return self._clients.enter_context(client)

    def report(self) -> Report:
        return Report(**json.loads(self._script.ask("report")))

    def until(self, condition: Callable[[Report], bool]) -> Report:
        """Wait for ``condition``, and return what meets it."""
        report = self.report()

        def met() -> bool:
            nonlocal report
            report = self.report()
            return condition(report)

        eventually(met, f"beginning with {report}")
        return report


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
            say(port_of(server.listeners[0]))
            for _ in sys.stdin:
                say(json.dumps(vars(report_on(server))))


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def report_on(server: Server) -> Report:
    statistics = server.statistics()
    return Report(
        connections=statistics.connections,
        closes=statistics.closes,
        threads=statistics.threads,
        stalled=statistics.stalled,
        held=statistics.held,
        busy=sum(each.peer is not None for each in server.activities()),
        resident=resident(),
        descriptors=descriptors(),
    )


def resident() -> int:
    """Bytes of memory that this process has; nothing is known of it beyond Linux: 0."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0

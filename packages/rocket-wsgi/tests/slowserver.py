"""A server in a process of its own, whose memory it shares with no client, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from client import Stream
from conftest import NarrowListener
from rocket_core import Server, TCPAddress, Timeouts
from rocket_wsgi import WSGIWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

THREADS = 4
PATIENCE = 30.0
"""Seconds after which a test that waits for an event fails."""

WHOLE = bytes(200_000)
PIECE = bytes(50_000)
PIECES = 1000
FILE_SIZE = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a server says of itself.

    Attributes:
        busy: threads that serve a client, those included that wait for it.
        resident: bytes of memory.
        descriptors: how many are open.
        spooled: the sizes of all files without a name, in bytes.
    """

    connections: dict[str, int]
    closes: dict[str, int]
    threads: int
    stalled: int
    held: int
    busy: int
    resident: int
    descriptors: int
    spooled: list[int]


class SlowServer:
    """Serves `application` with `THREADS` threads, replaced while they wait for a client."""

    def __init__(self, timeouts: dict[str, float], settings: dict[str, Any], **server: Any) -> None:
        """``settings`` are those of the worker."""
        program = f"import slowserver; slowserver.main({timeouts!r}, {settings!r}, {server!r})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._clients = ExitStack()

    def __enter__(self) -> Self:
        self._port = int(self._read_line())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._clients:
            if error is not None:
                self._process.kill()
            _, errors = self._process.communicate(timeout=PATIENCE)
        assert error or (self._process.returncode, errors) == (0, "")

    def connect(self) -> Stream:
        """A client that takes little at once, closed with the server."""
        stream = Stream.open(("127.0.0.1", self._port), 16 * 1024)
        self._clients.callback(stream.close)
        return stream

    def report(self) -> Report:
        assert self._process.stdin is not None
        self._process.stdin.write("report\n")
        self._process.stdin.flush()
        return Report(**json.loads(self._read_line()))

    def until(self, condition: Callable[[Report], bool]) -> Report:
        """Wait for ``condition``, and return what meets it."""
        until = time.monotonic() + PATIENCE
        while not condition(report := self.report()):
            assert time.monotonic() < until, f"waited in vain; at last {report}"
        return report

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.stderr and self._process.stderr.read()
        return line


# -- in the other process --------------------------------------------------------------------------


def main(timeouts: dict[str, float], settings: dict[str, Any], options: dict[str, Any]) -> None:
    """Serve until standard input ends, and answer each of its lines with a report."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(FILE_SIZE)

        def application(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
            start("200 OK", [])
            match environ["PATH_INFO"]:
                case "/whole":
                    return [WHOLE]
                case "/pieces":
                    return (PIECE for _ in range(PIECES))
                case "/file":
                    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](open(file.name, "rb"))  # noqa: PTH123, SIM115
                    return wrapped
            return [b"%d" % len(environ["wsgi.input"].read())]

        listener = NarrowListener("127.0.0.1:0")
        with Server(
            lambda: WSGIWorker(application, **settings),
            [listener],
            min_threads=THREADS,
            max_threads=THREADS,
            timeouts=Timeouts(**timeouts),
            **options,
        ) as server:
            assert isinstance(listener.address, TCPAddress)
            say(listener.address.port)
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
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        spooled=spooled(),
    )


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def spooled() -> list[int]:
    """The sizes of all open files that have no name."""
    sizes = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            if link.readlink().name.endswith(" (deleted)"):
                sizes.append(link.stat().st_size)
        except FileNotFoundError:
            continue  # closed since the directory was listed
    return sizes

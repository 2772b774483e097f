"""What one workload is, and whom it measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.load import Load
from bench.report import ALONE
from bench.servers import Server

THREADS: Final = 8
"""How many run the application where nothing else is said."""

APPLICATION: Final = "bench.applications.pages:application"


@dataclass(frozen=True)
class Contender:
    """A server with its threads and processes; without one, the application is called in a loop."""

    server: Server | None
    threads: int = THREADS
    processes: int = 1

    @property
    def name(self) -> str:
        """What its rows are called."""
        if self.server is None:
            return ALONE
        if self.processes > 1:
            return f"{self.server.name}, {self.processes} processes"
        if not self.server.threads or self.threads == THREADS:
            return self.server.name
        return f"{self.server.name}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True)
class Workload:
    """One load for several servers.

    Attributes:
        name: what it is called on the command line and in the results.
        group: the part of the benchmark it belongs to.
        title: its heading.
        load: what is done to each server.
        contenders: the servers; the others are compared with the first.
        compared: keys of the metrics that are compared with the first row's.
        options: whether its rows are one server with other options, and so are no peers.
        apart: whether each sample gets a server that has just been started.
        application: what the servers of WSGI applications serve.
        tls: whether they speak TLS.
        quick: whether it belongs to a quick run.
        remark: what a reader must know to read its figures.
    """

    name: str
    group: str
    title: str
    load: Load
    contenders: Sequence[Contender]
    compared: tuple[str, ...] = ("rate", "cpu_us")
    options: bool = False
    apart: bool = False
    application: str = APPLICATION
    tls: bool = False
    quick: bool = False
    remark: str = ""

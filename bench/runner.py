"""Rounds: every contender in turn, again and again, so that a slow minute is slow for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import machine
from bench.data import Data
from bench.errors import BenchError
from bench.load import Figures, call_alone
from bench.report import brief
from bench.results import Result, Results, Row
from bench.servers import Running, Server, running
from bench.workload import Contender, Workload

Say = Callable[[str], None]

_START: Final = 0.8
"""Seconds that a server takes to start and to end, about."""


def run_all(
    workloads: Iterable[Workload], *, rounds: int, seconds: int, output: Path, say: Say
) -> Results:
    """Run the workloads; after each, everything so far is written to ``output``.

    Raises `BenchError` when what all of them need cannot be had.
    """
    results = Results(machine.describe(), rounds, seconds)
    with TemporaryDirectory(prefix="rocket-bench-") as directory:
        data = Data(Path(directory))
        for workload in workloads:
            say(f"{workload.name}: {workload.title}")
            results.results.append(_run(workload, data, rounds, seconds, say))
            results.save(output)
    return results


def estimate(workloads: Iterable[Workload], *, rounds: int, seconds: int) -> float:
    """Seconds that `run_all` takes, about."""
    total = 0.0
    for workload in workloads:
        starts = rounds if workload.apart else 1
        sample = rounds * workload.load.duration(seconds)
        total += len(workload.contenders) * (sample + starts * _START)
    return total


def _run(workload: Workload, data: Data, rounds: int, seconds: int, say: Say) -> Result:
    result = Result(
        workload.name,
        workload.group,
        workload.title,
        workload.remark,
        list(workload.compared),
        workload.options,
        [Row(contender.name) for contender in workload.contenders],
    )
    with ExitStack() as stack:
        entries = [
            _Entry(workload, contender, row, data, stack)
            for contender, row in zip(workload.contenders, result.rows, strict=True)
        ]
        for _ in range(rounds):
            for entry in entries:
                if not entry.row.failure:
                    say(f"  {entry.row.name}: {entry.sample(seconds)}")
    return result


class _Entry:
    """A contender of a workload, its row, and its server when that stays for all rounds."""

    def __init__(
        self, workload: Workload, contender: Contender, row: Row, data: Data, stack: ExitStack
    ) -> None:
        self.row = row
        self._workload = workload
        self._contender = contender
        self._data = data
        self._stack = stack
        self._running: Running | None = None

    def sample(self, seconds: int) -> str:
        """Measure once; the figures, or what went wrong, on a line."""
        try:
            figures = self._measure(seconds)
        except BenchError as error:
            self.row.samples.append(None)
            self.row.failure = str(error)
            return self.row.failure
        self.row.samples.append(figures)
        return brief(figures)

    def _measure(self, seconds: int) -> Figures:
        workload, server = self._workload, self._contender.server
        if server is None:
            return call_alone(workload.application, "/", self._data, seconds)
        self.row.version = server.version()
        if workload.apart:
            with self._start(server) as fresh:
                return self._load(fresh, seconds)
        if self._running is None:
            self._running = self._stack.enter_context(self._start(server))
        return self._load(self._running, seconds)

    def _start(self, server: Server) -> AbstractContextManager[Running]:
        return running(
            server,
            processes=self._contender.processes,
            threads=self._contender.threads,
            application=self._workload.application,
            tls=self._workload.tls,
            data=self._data,
        )

    def _load(self, target: Running, seconds: int) -> Figures:
        try:
            figures = self._workload.load.run(target, seconds)
        except BenchError:
            target.check()  # if it has ended, what it said tells more
            raise
        target.check()
        return figures

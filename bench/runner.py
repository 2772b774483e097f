"""Rounds: every contender in turn, again and again, so that a slow minute is slow for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from bench import machine
from bench.errors import BenchError
from bench.load import Figures
from bench.report import brief
from bench.results import Result, Results, Row
from bench.servers import Running, running
from bench.workloads import Contender, Workload

Say = Callable[[str], None]


def run_all(
    workloads: Iterable[Workload], *, rounds: int, seconds: int, output: Path, say: Say
) -> Results:
    """Run the workloads; after each, everything so far is written to ``output``."""
    results = Results(machine.describe(), rounds, seconds)
    for workload in workloads:
        say(f"{workload.name}: {workload.title}")
        results.results.append(_run(workload, rounds, seconds, say))
        results.save(output)
    return results


def _run(workload: Workload, rounds: int, seconds: int, say: Say) -> Result:
    result = Result(
        workload.name,
        workload.group,
        workload.title,
        workload.remark,
        list(workload.compared),
        [Row(contender.name) for contender in workload.contenders],
    )
    with ExitStack() as stack:
        entries = [
            _Entry(workload, contender, row, stack)
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
        self, workload: Workload, contender: Contender, row: Row, stack: ExitStack
    ) -> None:
        self.row = row
        self._load = workload.load
        self._apart = workload.apart
        self._contender = contender
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
        server, threads = self._contender.server, self._contender.threads
        self.row.version = server.version()
        if self._apart:
            with running(server, threads) as fresh:
                return self._load.run(fresh, seconds)
        if self._running is None:
            self._running = self._stack.enter_context(running(server, threads))
        return self._load.run(self._running, seconds)

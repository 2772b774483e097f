"""Loads: what is done to a server, and the figures that come of it."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from bench import tools
from bench.data import Data
from bench.errors import BenchError
from bench.measure import Usage, usage
from bench.paths import ROOT
from bench.servers import Running

Figures = dict[str, float]
"""By the key of a metric; see `bench.report.METRICS`."""

_SCRIPT: Final = Path(__file__).parent / "lua/report.lua"
MARGIN: Final = 30.0
"""Seconds that a command of ours may take beyond its load."""


class Load(Protocol):
    """One kind of load."""

    def run(self, target: Running, seconds: int) -> Figures:
        """Measure ``target`` for about ``seconds``. Raises `BenchError`."""

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""


def call_alone(application: str, path: str, data: Data, seconds: int) -> Figures:
    """The call of a WSGI application without any server: a floor for all of them."""
    command = python_module("applications.call_loop", application, path, seconds)
    done = tools.run(command, timeout=seconds + MARGIN, environment=data.environment)
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "requests": found["requests"],
        "rate": found["requests"] / found["seconds"],
        "cpu_us": found["cpu"] / found["requests"] * 1e6,
    }


def python_module(module: str, *arguments: object) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]


def _per(before: Usage, after: Usage, count: float) -> Figures:
    """What each of ``count`` requests took, if there were any."""
    memory = {"resident_mb": after.resident / 1e6}
    if not count:
        return memory
    return memory | {
        "cpu_us": (after.cpu - before.cpu) / count * 1e6,
        "switches": (after.switches - before.switches) / count,
    }


@dataclass(frozen=True)
class Wrk:
    """A closed loop: each connection sends its next request when the last is answered."""

    connections: int
    path: str = "/"
    method: str = "GET"
    body: int = 0
    close: bool = False
    varied: bool = False

    def command(self, target: Running, seconds: int) -> list[str]:
        """The command that makes this load."""
        scheme = "https" if target.site.tls else "http"
        url = f"{scheme}://{target.site.address}{self.path}"
        return [
            tools.find("wrk"),
            *("-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "10s"),
            *("-s", str(_SCRIPT), url, "--"),
            *(self.method, str(self.body), "close" if self.close else "keep-alive"),
            "varied" if self.varied else "same",
        ]

    def figures(self, output: str) -> Figures:
        """What the script has reported."""
        found = json.loads(output.strip().splitlines()[-1])
        rate = found["requests"] / found["microseconds"] * 1e6
        figures: Figures = {
            "requests": found["requests"],
            "rate": rate,
            "errors": sum(found[key] for key in ("connect", "read", "write", "status", "timeout")),
        }
        if found["requests"]:
            figures |= {"p50_ms": found["p50"] / 1e3, "p99_ms": found["p99"] / 1e3}
            if self.connections > 1 and not self.close:
                # Every connection waits for an answer all the time, so those that get any, and
                # only those, are rate times mean latency.
                figures["served"] = min(rate * found["mean"] / 1e6, self.connections)
        return figures

    def run(self, target: Running, seconds: int) -> Figures:
        """Rate, latency, and what it cost the server."""
        before = usage(target.pid)
        done = tools.run(self.command(target, seconds), timeout=seconds + MARGIN)
        after = usage(target.pid)
        figures = self.figures(done.stdout)
        return figures | _per(before, after, figures["requests"])

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return seconds + 0.2


@dataclass(frozen=True)
class OpenLoop:
    """Requests at fixed times, whatever becomes of them."""

    rate: int
    connections: int = 50
    path: str = "/"

    def command(self, target: Running, seconds: int) -> list[str]:
        """The command that makes this load."""
        arguments = (target.site.port, self.rate, seconds, self.connections, self.path)
        return python_module("open_loop", *arguments)

    def figures(self, output: str) -> Figures:
        """What the program has reported."""
        found = json.loads(output)
        return {
            "requests": found["requests"],
            "p50_ms": found["p50"],
            "p99_ms": found["p99"],
            "max_ms": found["max"],
            "errors": found["errors"],
        }

    def run(self, target: Running, seconds: int) -> Figures:
        """Latency from the times at which requests were to be sent."""
        before = usage(target.pid)
        done = tools.run(self.command(target, seconds), timeout=seconds + MARGIN)
        after = usage(target.pid)
        figures = self.figures(done.stdout)
        return figures | _per(before, after, figures["requests"])

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return seconds + 0.3


@contextmanager
def background(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A command that runs meanwhile; killed at the end if it has not ended."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def latencies(figures: Figures, prefix: str = "") -> Figures:
    """The latencies among ``figures``, by longer names; none where no request was answered."""
    return {prefix + key: figures[key] for key in ("p50_ms", "p99_ms") if key in figures}


@dataclass(frozen=True)
class Mixed:
    """Fast requests alone, and then beside slow ones that leave threads free."""

    fast: OpenLoop | Wrk
    slow: Wrk

    def run(self, target: Running, seconds: int) -> Figures:
        """Latency of the fast ones in both cases."""
        alone = self.fast.run(target, seconds)
        with background(self.slow.command(target, seconds + 2)):
            time.sleep(0.5)  # the slow ones have arrived and are being served
            mixed = self.fast.run(target, seconds)
        return {
            **latencies(alone),
            **latencies(mixed, "mixed_"),
            "errors": alone["errors"] + mixed["errors"],
        }

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return 2 * self.fast.duration(seconds) + 0.5


@dataclass(frozen=True)
class Idle:
    """A few active connections without and beside many that rest."""

    count: int
    active: Wrk

    def run(self, target: Running, seconds: int) -> Figures:
        """Memory for each idle connection, and what the idle ones cost the active ones."""
        without = self.active.run(target, seconds)
        before = usage(target.pid)
        with background(python_module("idle_clients", target.site.port, self.count)) as holder:
            opened = self._opened(holder)
            settled = usage(target.pid)
            time.sleep(seconds)
            rested = usage(target.pid)
            beside = self.active.run(target, seconds)
            out, _ = holder.communicate(timeout=MARGIN)
        closed = json.loads(out)["closed"]
        return {
            "idle_opened": opened,
            "idle_closed": closed,
            "idle_kib": (settled.resident - before.resident) / opened / 1024,
            "idle_cpu_ms": (rested.cpu - settled.cpu) / seconds * 1e3,
            "rate": without["rate"],
            **latencies(without),
            "beside_rate": beside["rate"],
            **latencies(beside, "beside_"),
            "errors": without["errors"] + beside["errors"],
        }

    @staticmethod
    def _opened(holder: subprocess.Popen[str]) -> int:
        line = holder.stdout.readline() if holder.stdout else ""
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:
            raise BenchError(f"the idle clients failed: {line.strip()}") from None
        if not found["opened"]:
            raise BenchError(f"not one idle connection could be opened: {found['error']}")
        return int(found["opened"])

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return seconds + 2 * self.active.duration(seconds) + self.count / 4000


@dataclass(frozen=True)
class RedisBenchmark:
    """redis-benchmark: SET and GET by 50 clients."""

    pipeline: int

    def run(self, target: Running, seconds: int) -> Figures:
        """Rates of the two commands, and the processor time of one of either."""
        count = 2000 * self.pipeline
        rows = self._measure(target, count)
        # Both commands are given half of the time, at the rate that they have just had.
        slowest = min(float(row["rps"]) for row in rows.values())
        count = max(count, int(seconds / 2 * slowest))
        before = usage(target.pid)
        rows = self._measure(target, count)
        after = usage(target.pid)
        return {
            "set_rate": float(rows["SET"]["rps"]),
            "get_rate": float(rows["GET"]["rps"]),
            "p50_ms": float(rows["GET"]["p50_latency_ms"]),
            "p99_ms": float(rows["GET"]["p99_latency_ms"]),
            **_per(before, after, 2 * count),
        }

    def _measure(self, target: Running, count: int) -> dict[str, dict[str, str]]:
        command = [
            *(tools.find("redis-benchmark"), "-p", str(target.site.port), "-t", "set,get"),
            *("-c", "50", "-P", str(self.pipeline), "-n", str(count), "--csv"),
        ]
        done = tools.run(command, timeout=10 * MARGIN)
        lines = [line for line in done.stdout.splitlines() if line.startswith('"')]
        return {row["test"]: row for row in csv.DictReader(lines)}

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return seconds + 0.5


SYSTEM_CALLS: Final = (
    "accept4",
    "clock_nanosleep",
    "close",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "fcntl",
    "futex",
    "getsockopt",
    "ioctl",
    "poll",
    "read",
    "recvfrom",
    "sched_yield",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "write",
)
"""Those that are counted by name; the rest is counted together."""


_ALL_CALLS: Final = "raw_syscalls:sys_enter"


@dataclass(frozen=True)
class CountedCalls:
    """System calls for each request, counted by the kernel: the server runs at full speed."""

    load: Wrk

    def run(self, target: Running, seconds: int) -> Figures:
        """The number of each, and of all."""
        events = {f"syscalls:sys_enter_{name}": f"calls:{name}" for name in SYSTEM_CALLS}
        with tempfile.NamedTemporaryFile("r", suffix=".csv") as file:
            command = [
                *(tools.find("perf"), "stat", "-x", ",", "-o", file.name),
                *("-p", str(target.pid), "-e", ",".join([_ALL_CALLS, *events]), "--"),
                *self.load.command(target, seconds),
            ]
            done = tools.run(command, timeout=seconds + MARGIN)
            counts = {row[2]: row[0] for row in csv.reader(file) if len(row) > 2}
        figures = self.load.figures(done.stdout)
        requests = figures["requests"] or 1
        for event in (_ALL_CALLS, *events):
            # Without the right to see the kernel, perf counts another event, NAME:u, near to none.
            if not counts.get(event, "").isdigit():
                raise BenchError(f"perf may not count {event} here: it takes root")
        calls = {key: int(counts[event]) / requests for event, key in events.items()}
        total = int(counts[_ALL_CALLS]) / requests
        calls["calls:others"] = total - sum(calls.values())
        return figures | {"calls": total} | {key: each for key, each in calls.items() if each}

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return seconds + 0.5


@dataclass(frozen=True)
class TracedCalls:
    """System calls for each request, counted by strace.

    Every call stops its thread, so the server is slow, and its pool sees work wait and wakes other
    threads: their futex calls are there because of strace.
    """

    load: Wrk

    def run(self, target: Running, seconds: int) -> Figures:
        """The number of each, and of all."""
        with tempfile.NamedTemporaryFile("r", suffix=".txt") as summary:
            command = [
                *(tools.find("strace"), "-f", "-c", "-U", "name,calls"),
                *("-o", summary.name, "-p", str(target.pid)),
            ]
            with background(command) as strace:
                self._await_attached(strace)
                done = tools.run(self.load.command(target, seconds), timeout=seconds + MARGIN)
                strace.send_signal(signal.SIGINT)
                strace.communicate(timeout=MARGIN)
            lines = [line.split() for line in summary]
        figures = self.load.figures(done.stdout)
        counts = {
            fields[0]: int(fields[1])
            for fields in lines
            if len(fields) == 2 and fields[1].isdigit()
        }
        total = counts.pop("total")
        requests = figures["requests"] or 1
        calls = {f"calls:{name}": count / requests for name, count in counts.items()}
        return figures | {"calls": total / requests, **calls}

    @staticmethod
    def _await_attached(strace: subprocess.Popen[str]) -> None:
        """Wait for the line in which strace says that it has attached."""
        line = strace.stdout.readline() if strace.stdout else ""
        if "attached" not in line:
            raise BenchError(f"strace cannot attach: {line.strip()}")

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return seconds + 0.5

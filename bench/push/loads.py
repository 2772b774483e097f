"""The loads of clients that wait."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from bench import tools
from bench.errors import BenchError
from bench.load import MARGIN, Figures, OpenLoop, background, latencies, python_module
from bench.measure import threads, usage
from bench.push.waiting_clients import Kind
from bench.servers import Running

_BROADCASTS: Final = 3
"""Broadcasts in a sample."""

_SIZES: Final = {Kind.WEBSOCKET: 2 + 40, Kind.EVENTS: 4 + len("data: \n\n") + 40 + 2}
"""Bytes of a broadcast of 40 bytes on each connection: with its frame, or its chunk."""


@dataclass(frozen=True)
class Echo:
    """Websockets that each send their next message when the last has come back."""

    connections: int

    def run(self, target: Running, seconds: int) -> Figures:
        """Rate, latency, and what it cost the server."""
        arguments = (target.site.port, "/echo", seconds, self.connections)
        before = usage(target.pid)
        done = tools.run(python_module("push.echo_clients", *arguments), timeout=seconds + MARGIN)
        after = usage(target.pid)
        found = json.loads(done.stdout)
        return {
            "message_rate": found["messages"] / found["seconds"],
            "message_cpu_us": (after.cpu - before.cpu) / found["messages"] * 1e6,
            "p50_ms": found["p50"],
            "p99_ms": found["p99"],
            "resident_mb": after.resident / 1e6,
            "threads": threads(target.pid),
        }

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return seconds + 0.5


class _Waiting:
    """The program of the clients that wait."""

    def __init__(self, process: subprocess.Popen[str], count: int) -> None:
        self._process = process
        opened = self._line()
        self.opened = int(opened["opened"])
        if self.opened < count:
            raise BenchError(f"{self.opened} of {count} clients wait: {opened['error']}")

    def _line(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:
            raise BenchError(f"the clients that wait failed: {line.strip()}") from None
        return found

    def expect(self, size: int) -> None:
        """Have all clients read ``size`` bytes from now on."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{size}\n")
            self._process.stdin.flush()

    def seconds(self) -> float:
        """How long it took until the last one had them."""
        return float(self._line()["seconds"])

    def close(self) -> int:
        """Let all leave; how many the server had closed before."""
        out, _ = self._process.communicate(timeout=MARGIN)
        return int(json.loads(out)["closed"])


@contextmanager
def _waiting(target: Running, count: int, kind: Kind) -> Iterator[_Waiting]:
    command = python_module("push.waiting_clients", target.site.port, count, kind.name)
    with background(command) as process:
        yield _Waiting(process, count)


@dataclass(frozen=True)
class Silence:
    """Ordinary requests without and beside many clients that wait in silence."""

    count: int
    kind: Kind
    ordinary: OpenLoop

    def run(self, target: Running, seconds: int) -> Figures:
        """Memory of each, threads, processor time at rest, and what the ordinary ones notice."""
        without = self.ordinary.run(target, seconds)
        before = usage(target.pid)
        with _waiting(target, self.count, self.kind) as clients:
            settled = usage(target.pid)
            time.sleep(seconds)
            rested = usage(target.pid)
            count = threads(target.pid)
            beside = self.ordinary.run(target, seconds)
            closed = clients.close()
        return {
            "idle_opened": clients.opened,
            "idle_closed": closed,
            "idle_kib": (settled.resident - before.resident) / clients.opened / 1024,
            "idle_cpu_ms": (rested.cpu - settled.cpu) / seconds * 1e3,
            "threads": count,
            **latencies(without),
            **latencies(beside, "beside_"),
            "errors": without["errors"] + beside["errors"],
        }

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return seconds + 2 * self.ordinary.duration(seconds) + self.count / 2000


@dataclass(frozen=True)
class Broadcasts:
    """Messages to many clients that wait, and ordinary requests meanwhile."""

    count: int
    kind: Kind
    ordinary: OpenLoop

    def run(self, target: Running, seconds: int) -> Figures:
        """Processor time of a broadcast, when its last client has it, and what others notice."""
        seconds = max(seconds, _BROADCASTS)
        without = self.ordinary.run(target, seconds)
        spent, whole = [], []
        url = f"http://{target.site.address}/broadcast/{self.kind.name.lower()}"
        with _waiting(target, self.count, self.kind) as clients:
            with background(self.ordinary.command(target, seconds)) as ordinary:
                for _ in range(_BROADCASTS):
                    time.sleep(seconds / _BROADCASTS / 2)
                    clients.expect(_SIZES[self.kind])
                    with urllib.request.urlopen(url, timeout=MARGIN) as response:
                        found = json.load(response)
                    if found["taken"] != self.count:
                        raise BenchError(f"{found['taken']} of {self.count} took a broadcast")
                    spent.append(found["seconds"])
                    whole.append(clients.seconds())
                out, _ = ordinary.communicate(timeout=MARGIN)
            closed = clients.close()
        beside = self.ordinary.figures(out)
        return {
            "idle_opened": clients.opened,
            "idle_closed": closed,
            "broadcast_ms": sorted(spent)[_BROADCASTS // 2] * 1e3,
            "last_ms": sorted(whole)[_BROADCASTS // 2] * 1e3,
            **latencies(without),
            **latencies(beside, "beside_"),
            "errors": without["errors"] + beside["errors"],
        }

    def duration(self, seconds: int) -> float:
        """Seconds that `run` takes in all."""
        return 2 * self.ordinary.duration(max(seconds, _BROADCASTS)) + self.count / 2000

"""The table of what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench import servers
from bench.load import CountedCalls, Idle, Load, Mixed, OpenLoop, RedisBenchmark, TracedCalls, Wrk
from bench.servers import Server


@dataclass(frozen=True)
class Contender:
    """A server with a number of threads."""

    server: Server
    threads: int = 8

    @property
    def name(self) -> str:
        """What its rows are called."""
        if not self.server.threads:
            return self.server.name
        return f"{self.server.name}, {self.threads} threads"


@dataclass(frozen=True)
class Workload:
    """One load for several servers.

    Attributes:
        name: what it is called on the command line and in the results.
        group: the part of the benchmark it belongs to.
        title: its heading.
        load: what is done to each server.
        contenders: the servers; the others are compared with the first.
        compared: keys of the metrics that are compared.
        apart: whether each sample gets a server that has just been started.
        quick: whether it belongs to a quick run.
        remark: what a reader must know to read its figures.
    """

    name: str
    group: str
    title: str
    load: Load
    contenders: Sequence[Contender]
    compared: tuple[str, ...] = ("rate", "cpu_us")
    apart: bool = False
    quick: bool = False
    remark: str = ""


_CORE: Final = Contender(servers.CORE)
_CORE_32: Final = Contender(servers.CORE, 32)
_LOOP: Final = Contender(servers.BARE_LOOP)
_SLEEPING: Final = Contender(servers.CORE_SLEEPING)

CORE: Final = (
    Workload(
        "core-fixed",
        "core",
        "A fixed response on 32 connections",
        Wrk(32),
        (_CORE, _CORE_32, _LOOP),
        quick=True,
        remark="The worker waits for the empty line and writes a response that it does not make. "
        "The bare loop does that in one thread, without time-outs, limits or a way to wait.",
    ),
    Workload(
        "core-one",
        "core",
        "A fixed response on one connection",
        Wrk(1),
        (_CORE, _CORE_32, _LOOP),
    ),
    Workload(
        "core-calls",
        "core",
        "System calls for each request, counted by the kernel",
        CountedCalls(Wrk(32)),
        (_CORE, _LOOP),
        compared=(),
        quick=True,
    ),
    Workload(
        "core-calls-strace",
        "core",
        "System calls for each request, counted by strace",
        TracedCalls(Wrk(32)),
        (_CORE, _LOOP),
        compared=(),
        remark="strace stops the server at every call; the pool takes that for work that waits, "
        "and wakes more threads than it does at full speed.",
    ),
    Workload(
        "core-idle",
        "core",
        "10,000 idle connections",
        Idle(10_000, Wrk(1)),
        (_CORE, _LOOP),
        compared=(),
        apart=True,
    ),
    Workload(
        "core-redis",
        "core",
        "The key-value example, without pipelining",
        RedisBenchmark(1),
        (Contender(servers.KEY_VALUE), Contender(servers.REDIS)),
        compared=("set_rate", "get_rate", "cpu_us"),
    ),
    Workload(
        "core-redis-pipelined",
        "core",
        "The key-value example, 16 commands at once",
        RedisBenchmark(16),
        (Contender(servers.KEY_VALUE), Contender(servers.REDIS)),
        compared=("set_rate", "get_rate", "cpu_us"),
        quick=True,
    ),
    Workload(
        "core-sleep-full",
        "core",
        "A worker that sleeps for 20 ms, 32 clients",
        Wrk(32),
        (_SLEEPING,),
        quick=True,
        remark="Eight threads can serve 400 requests in a second.",
    ),
    Workload(
        "core-sleep-half",
        "core",
        "A worker that sleeps for 20 ms, 200 requests a second",
        OpenLoop(200),
        (_SLEEPING,),
        remark="Half of what eight threads can serve; from the times at which requests were due.",
    ),
    Workload(
        "core-mixed",
        "core",
        "Fast requests beside five that sleep for 100 ms",
        Mixed(OpenLoop(200, path="/fast"), Wrk(5, path="/slow")),
        (Contender(servers.CORE_MIXED),),
        compared=(),
        quick=True,
        remark="Three of eight threads are free all the time. 200 fast requests a second.",
    ),
    Workload(
        "core-mixed-busy",
        "core",
        "Fast requests, as many as four clients can send, beside five that sleep for 100 ms",
        Mixed(Wrk(4, path="/fast"), Wrk(5, path="/slow")),
        (Contender(servers.CORE_MIXED),),
        compared=(),
    ),
    Workload(
        "core-fresh",
        "core",
        "A new connection for each request",
        Wrk(32, close=True),
        (Contender(servers.CORE_CLOSING), Contender(servers.BARE_LOOP_CLOSING)),
    ),
    Workload(
        "core-counters",
        "core",
        "The cost of the histograms",
        Wrk(32),
        (_CORE, Contender(servers.CORE_UNCOUNTED)),
    ),
)

ALL: Final = CORE

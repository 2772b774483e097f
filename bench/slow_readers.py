"""What many slow readers of a long, generated response cost a WSGI server.

The server runs in a process of its own. A client asks for a short page again and again, in rounds
that take turns: alone, and among slow readers that each take a long response at a low rate. Printed
are, for each kind of round, the time of a page, the threads of the server, how many of them wait
for a client, the bytes held for clients, and the resident memory (Linux only).

    python bench/slow_readers.py --readers 200 --rate 1024 --threads 8
"""

from __future__ import annotations

import argparse
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rocket_core import Listener, Server, TCPAddress
from rocket_core.testing import PATIENCE, Report, ServerProcess, many_descriptors, report_to_parent
from rocket_wsgi import WSGIWorker

PIECE = bytes(64 * 1024)
BUFFER = 64 * 1024
"""Bytes that the system receives for a slow reader, which takes them at its own rate."""

STEP = 0.25
"""Seconds between two reads of a slow reader."""


@dataclass(frozen=True)
class Round:
    """What was measured in a round.

    Attributes:
        pages: seconds of each page.
        report: the server at the end.
        taken: bytes that slow readers took.
        seconds: how long they did.
    """

    pages: list[float]
    report: Report
    taken: int = 0
    seconds: float = 0.0


# -- the server, in a process of its own -----------------------------------------------------------


def serve(size: int, threads: int) -> None:
    """Serve, in the process of a `ServerProcess`."""

    def application(environ: dict[str, Any], start: Callable[..., object]) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "application/octet-stream")])
        if environ["PATH_INFO"] == "/page":
            return iter([b"page"])
        return (PIECE for _ in range(size // len(PIECE)))

    listener = Listener("127.0.0.1:0")
    with Server(
        lambda: WSGIWorker(application), [listener], min_threads=threads, max_threads=threads
    ) as server:
        report_to_parent(server)


def port_of(server: ServerProcess) -> int:
    """The port that the server listens on."""
    assert isinstance(server.address, TCPAddress)  # noqa: S101 - for the type checker
    return server.address.port


# -- clients ---------------------------------------------------------------------------------------


class Readers:
    """Clients that ask for the long response and take it slowly, all on one thread."""

    def __init__(self, port: int, count: int, rate: int) -> None:
        self._rate = rate
        self._ended = threading.Event()
        self._sockets = [connect(port, BUFFER) for _ in range(count)]
        self.taken = 0
        """Bytes that all have read."""
        self.cut = 0
        """How many of them the server has closed."""
        for each in self._sockets:
            each.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        share = max(int(self._rate * STEP), 1)
        living = list(self._sockets)
        while not self._ended.wait(STEP):
            for each in list(living):
                try:
                    data = each.recv(share)
                except OSError:
                    data = b""
                self.taken += len(data)
                if not data:
                    self.cut += 1
                    living.remove(each)

    def close(self) -> None:
        """Leave."""
        self._ended.set()
        self._thread.join()
        for each in self._sockets:
            each.close()


def connect(port: int, buffer: int | None = None) -> socket.socket:
    """A connection to the server."""
    sock = socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(PATIENCE)
    sock.connect(("127.0.0.1", port))
    return sock


def ask_for_pages(port: int, count: int) -> list[float]:
    """The seconds that each of ``count`` pages took, each on a connection of its own."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        with connect(port) as sock:
            sock.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := sock.recv(4096):
                answer += piece
        if b"page" not in answer:
            raise RuntimeError(f"the server did not answer as expected: {answer[:200]!r}")
        seconds.append(time.perf_counter() - began)
    return seconds


# -- measuring -------------------------------------------------------------------------------------


def measure_alone(server: ServerProcess, pages: int) -> Round:
    """A round without slow readers."""
    server.until(lambda report: not report.connections)
    return Round(ask_for_pages(port_of(server), pages), server.report())


def measure_among(
    server: ServerProcess, pages: int, readers: int, rate: int, seconds: float
) -> Round:
    """A round among slow readers, each of which a thread waits for before it begins."""
    began = time.monotonic()
    crowd = Readers(port_of(server), readers, rate)
    try:
        server.until(lambda report: report.stalled == readers)
        until = time.monotonic() + seconds
        taken: list[float] = []
        while time.monotonic() < until or not taken:
            taken += ask_for_pages(port_of(server), pages)
        report = server.report()
        if crowd.cut:
            raise RuntimeError(f"{crowd.cut} slow readers were cut")
        return Round(taken, report, crowd.taken, time.monotonic() - began)
    finally:
        crowd.close()


def describe(name: str, rounds: list[Round]) -> str:
    """A line for rounds of one kind; of the server, the most that was seen."""
    pages = sorted(each for one in rounds for each in one.pages)
    reports = [each.report for each in rounds]
    return (
        f"{name:24}"
        f"{statistics.median(pages) * 1000:9.2f}"
        f"{pages[len(pages) * 99 // 100] * 1000:9.2f}"
        f"{max(each.threads for each in reports):9}"
        f"{max(each.stalled for each in reports):9}"
        f"{max(each.held for each in reports) / (1 << 20):9.1f}"
        f"{max(each.resident for each in reports) / (1 << 20):9.1f}"
    )


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(
        description="Measure what slow readers of a generated response cost a WSGI server."
    )
    parser.add_argument("--readers", type=int, default=200, help="slow readers (200)")
    parser.add_argument("--rate", type=int, default=1024, help="bytes per second of each (1024)")
    parser.add_argument("--size", type=int, default=50_000_000, help="bytes of a response (50 MB)")
    parser.add_argument("--threads", type=int, default=8, help="threads of the pool (8)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each kind (3)")
    parser.add_argument("--pages", type=int, default=200, help="pages at once in a round (200)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="least length of a round with readers (5)"
    )
    options = parser.parse_args()
    program = f"""import runpy
runpy.run_path({__file__!r})["serve"]({options.size}, {options.threads})"""
    with many_descriptors(4 * options.readers), ServerProcess(program) as server:
        ask_for_pages(port_of(server), options.pages)
        alone, among = [], []
        for _ in range(options.rounds):
            alone.append(measure_alone(server, options.pages))
            among.append(
                measure_among(server, options.pages, options.readers, options.rate, options.seconds)
            )
    columns = ["page ms", "p99 ms", "threads", "waiting", "held MiB", "RSS MiB"]
    print(" " * 24 + "".join(f"{column:>9}" for column in columns))
    print(describe("first round, alone", alone[:1]))
    print(describe("alone", alone))
    print(describe(f"{options.readers} slow readers", among))
    rate = sum(each.taken / each.seconds for each in among) / options.rounds / options.readers
    print(f"each reader took about {rate:,.0f} bytes per second")


if __name__ == "__main__":
    main()

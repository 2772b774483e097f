"""Servers on rocket-core alone: each answers every head of a request with the same bytes.

python -m bench.applications.core_worker PORT THREADS KIND [--without-histograms]
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import Final

from bench.applications.fixed import ANSWER, CLOSING_ANSWER, END
from rocket_core import Connection, Histogram, Listener, Server, State, Worker

MAX_CONNECTIONS: Final = 20_000


class Fixed(Worker):
    """Answers at once, and keeps the connection."""

    answer = ANSWER
    after = State.IDLE

    def receive(self, connection: Connection) -> State:
        """Wait for the end of a head."""
        if connection.state is not State.ACTIVE:
            count = connection.fill()
            if not count:
                return connection.state if count is None else State.CLOSED
        if connection.find(END) >= 0:
            return State.READY
        return State.HEAD if connection.buffered else State.IDLE

    def serve(self, connection: Connection) -> State:
        """Answer the head that has arrived."""
        head = connection.take_through(END)
        self.work(b"" if head is None else head)
        connection.write(self.answer)
        return self.after

    def work(self, head: bytes) -> None:
        """What is done before the answer."""


class Closing(Fixed):
    """Closes the connection after its answer."""

    answer = CLOSING_ANSWER
    after = State.CLOSED


class Sleeping(Fixed):
    """Sleeps for 20 ms before its answer."""

    def work(self, head: bytes) -> None:
        """Sleep."""
        del head
        time.sleep(0.02)


class Mixed(Fixed):
    """Sleeps for 100 ms before its answer where the path begins with /slow."""

    def work(self, head: bytes) -> None:
        """Sleep or not."""
        if head.startswith(b"GET /slow"):
            time.sleep(0.1)


KINDS: Final[dict[str, type[Fixed]]] = {
    "fixed": Fixed,
    "closing": Closing,
    "sleeping": Sleeping,
    "mixed": Mixed,
}


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--without-histograms", action="store_true")
    options = parser.parse_args()
    if options.without_histograms:
        # The cheapest call there is: a builtin is not bound to the histogram.
        Histogram.add = abs  # type: ignore[assignment, method-assign]
    server = Server(
        KINDS[options.kind],
        [Listener(f"127.0.0.1:{options.port}")],
        min_threads=options.threads,
        max_threads=options.threads,
        max_connections=MAX_CONNECTIONS,
    )
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.start()
    while not server.wait(1):
        if options.without_histograms and server.statistics().service_time.count:
            sys.exit("it counts all the same, by other means than Histogram.add")


if __name__ == "__main__":
    main()

"""A load that does not wait for its answers: requests at fixed times, measured from these.

python -m bench.open_loop PORT RATE SECONDS CONNECTIONS PATH

Each request has a number where # stands in the path.

A closed loop like wrk sends less while a server is slow, and so measures the slow moments less
often. Here the times are set beforehand. Each connection has its share of them; a request whose
connection still waits for an earlier answer is sent late, and that counts.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import statistics
import sys
import time
from collections import deque
from typing import Final

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_PATIENCE: Final = 10.0


class _Answer:
    """One answer that has a Content-Length, as it arrives."""

    def __init__(self) -> None:
        self._data = b""
        self._missing: int | None = None
        self.good = False

    def take(self, data: bytes) -> bool:
        """More of it; whether that was the rest. Raises `OSError` when there is none, or no length.

        Whoever keeps a connection sends nothing behind an answer.
        """
        if not data:
            raise ConnectionError("the server has closed the connection")
        if self._missing is None:
            self._data += data
            head, end, body = self._data.partition(_END)
            if not end:
                return False
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH)]
            if len(lengths) != 1:
                raise ConnectionError("an answer without a Content-Length")
            self.good = head.split(maxsplit=2)[1] == b"200"
            self._missing = int(lengths[0][len(_LENGTH) :]) - len(body)
        else:
            self._missing -= len(data)
        return self._missing <= 0


def read_answer(client: socket.socket) -> bool:
    """Read one answer that has a Content-Length; whether its status is 200.

    Raises `OSError` when the connection breaks or ends.
    """
    answer = _Answer()
    while not answer.take(client.recv(65536)):
        pass
    return answer.good


class Client:
    """One connection and its share of the requests.

    Attributes:
        latencies: seconds from the time of each request to its answer.
        errors: requests that were not answered well.
    """

    def __init__(self, port: int, path: str, clients: Clients) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self._number = 1_000_000
        self._clients = clients
        self._due: deque[float] = deque()
        self._answer = _Answer()
        self._connect()
        self.latencies: list[float] = []
        self.errors = 0

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), _PATIENCE)
        self._clients.watch(self._socket, self)

    @property
    def missing(self) -> int:
        """How many answers are missing."""
        return len(self._due)

    def ask(self, due: float) -> None:
        """A request is due: send it, at once or after the answer that is awaited."""
        self._due.append(due)
        if len(self._due) == 1:
            self._send()

    def _send(self) -> None:
        self._answer = _Answer()
        try:
            self._number += 1
            self._socket.sendall(self._request.replace(b"#", b"%d" % self._number))
        except OSError:
            self._fail()

    def receive(self) -> None:
        """Something has arrived."""
        try:
            if not self._answer.take(self._socket.recv(65536)):
                return
        except OSError:
            self._fail()
            return
        due = self._due.popleft()
        if self._answer.good:
            self.latencies.append(time.monotonic() - due)
        else:
            self.errors += 1
        if self._due:
            self._send()

    def _fail(self) -> None:
        """The connection is broken; what is due next is sent on another."""
        self._socket.close()
        if self._due:
            self._due.popleft()
            self.errors += 1
        self._connect()
        if self._due:
            self._send()


class Clients:
    """All connections, looked after by one thread."""

    def __init__(self, port: int, path: str, count: int) -> None:
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, Client] = {}
        self._all = [Client(port, path, self) for _ in range(count)]

    def watch(self, connection: socket.socket, client: Client) -> None:
        """Have ``client`` receive what arrives on a new connection of its own."""
        self._epoll.register(connection, select.EPOLLIN)
        self._by_descriptor[connection.fileno()] = client

    def run(self, times: list[float]) -> None:
        """Send a request at each of the times, in turn on each connection; await all answers."""
        for index, due in enumerate(times):
            while (pause := due - time.monotonic()) > 0:
                self._receive(pause)
            self._all[index % len(self._all)].ask(due)
            self._receive(0)
        until = time.monotonic() + _PATIENCE
        while any(each.missing for each in self._all) and time.monotonic() < until:
            self._receive(0.1)

    def _receive(self, timeout: float) -> None:
        # epoll itself waits for whole milliseconds, longer than many an answer takes.
        if select.select([self._epoll], [], [], timeout)[0]:
            for descriptor, _ in self._epoll.poll(0):
                self._by_descriptor[descriptor].receive()

    def report(self) -> dict[str, float]:
        """What came of it."""
        latencies = [each for client in self._all for each in client.latencies]
        if len(latencies) < 2:
            sys.exit("no request was answered")
        cuts = statistics.quantiles(latencies, n=100, method="inclusive")
        return {
            "requests": len(latencies),
            "errors": sum(client.errors + client.missing for client in self._all),
            "p50": cuts[49] * 1e3,
            "p99": cuts[98] * 1e3,
            "max": max(latencies) * 1e3,
        }


def main() -> None:
    """Make the load, then report it as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("rate", type=int)
    parser.add_argument("seconds", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("path")
    options = parser.parse_args()
    clients = Clients(options.port, options.path, options.connections)
    start = time.monotonic() + 0.1
    count = options.rate * options.seconds
    clients.run([start + index / options.rate for index in range(count)])
    print(json.dumps(clients.report()))


if __name__ == "__main__":
    main()

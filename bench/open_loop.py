"""A load that does not wait for its answers: requests at fixed times, measured from these.

python -m bench.open_loop PORT RATE SECONDS CONNECTIONS PATH

A closed loop like wrk sends less while a server is slow, and so measures the slow moments less
often. Here the times are set beforehand. Each connection has its share of them; a request whose
connection still waits for an earlier answer is sent late, and that counts.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import threading
import time
from typing import Final

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_PATIENCE: Final = 10.0


def read_answer(client: socket.socket) -> bool:
    """Read one answer that has a Content-Length; whether its status is 200.

    Raises `OSError` when the connection breaks or ends.
    """
    data = b""
    while _END not in data:
        data += _some(client)
    head, _, body = data.partition(_END)
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH)]
    if len(lengths) != 1:
        raise ConnectionError("an answer without a Content-Length")
    missing = int(lengths[0][len(_LENGTH) :]) - len(body)
    while missing > 0:
        missing -= len(_some(client))
    return head.split(maxsplit=2)[1] == b"200"


def _some(client: socket.socket) -> bytes:
    data = client.recv(65536)
    if not data:
        raise ConnectionError("the server has closed the connection")
    return data


class Client(threading.Thread):
    """One connection and its share of the times."""

    def __init__(self, port: int, path: str, times: list[float]) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self._times = times
        self.latencies: list[float] = []
        self.errors = 0

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), _PATIENCE)

    def run(self) -> None:
        """Send and receive until the last time."""
        client: socket.socket | None = self._connect()
        for intended in self._times:
            time.sleep(max(intended - time.monotonic(), 0))
            try:
                if client is None:
                    client = self._connect()
                client.sendall(self._request)
                good = read_answer(client)
            except OSError:
                good = False
                if client is not None:
                    client.close()
                client = None
            if good:
                self.latencies.append(time.monotonic() - intended)
            else:
                self.errors += 1
        if client is not None:
            client.close()


def main() -> None:
    """Make the load, then report it as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("rate", type=int)
    parser.add_argument("seconds", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("path")
    options = parser.parse_args()
    start = time.monotonic() + 0.5  # when all are connected
    times = [start + index / options.rate for index in range(options.rate * options.seconds)]
    clients = [
        Client(options.port, options.path, times[index :: options.connections])
        for index in range(options.connections)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    latencies = [each for client in clients for each in client.latencies]
    if len(latencies) < 2:
        sys.exit("no request was answered")
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    report = {
        "requests": len(latencies),
        "errors": sum(client.errors for client in clients),
        "p50": cuts[49] * 1e3,
        "p99": cuts[98] * 1e3,
        "max": max(latencies) * 1e3,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

"""Thousands of slow clients, of three kinds.

python -m bench.capture.slow_clients PORT COUNT SECONDS

Most send the head of a request byte by byte, some an upload, and some do not read the file that
they have asked for. They connect evenly over some seconds and go on until the standard input of
this program ends. Then it says on a line of JSON how many the server has closed.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from bench.idle_clients import closed
from bench.measure import allow_descriptors

FILE: Final = "/downloads/film.bin"
"""What the third kind asks for. It is larger than what the system keeps for a client."""

_ROUND: Final = 4.0
"""Seconds in which each client that sends at all sends one more byte."""

_TICK: Final = 0.02
_PER_ADDRESS: Final = 4000
"""Connections from one address, because it has only so many ports."""

_HEAD: Final = b"GET / HTTP/1.1\r\nHost: notes.example\r\nX-Slow: "
_UPLOAD: Final = (
    b"POST /files HTTP/1.1\r\nHost: notes.example\r\nContent-Length: 1000000\r\n"
    b"Content-Type: application/octet-stream\r\n\r\n"
)
_DOWNLOAD: Final = f"GET {FILE} HTTP/1.1\r\nHost: notes.example\r\n\r\n".encode()
_KINDS: Final = (_HEAD,) * 8 + (_UPLOAD,) + (_DOWNLOAD,)


def connect(port: int, index: int) -> tuple[socket.socket, bool]:
    """One client, and whether it goes on to send."""
    start = _KINDS[index % len(_KINDS)]
    client = socket.socket()
    if start is _DOWNLOAD:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.bind((f"127.0.0.{2 + index // _PER_ADDRESS}", 0))
    client.connect(("127.0.0.1", port))
    client.sendall(start)
    return client, start is not _DOWNLOAD


def _opened(port: int, count: int, seconds: float) -> Iterator[tuple[socket.socket, bool] | None]:
    """The clients, as many at each step as are due by then; None: the step is over."""
    began = time.monotonic()
    index = 0
    while True:
        due = min(int((time.monotonic() - began) / seconds * count), count)
        while index < due:
            yield connect(port, index)
            index += 1
        yield None


def run(port: int, count: int, seconds: float) -> list[socket.socket]:
    """Open the clients, and have them send bytes until the standard input ends."""
    clients: list[socket.socket] = []
    senders: list[socket.socket] = []
    turn = 0
    steps = int(_ROUND / _TICK)
    for opened in _opened(port, count, seconds):
        if opened is not None:
            clients.append(opened[0])
            senders += [opened[0]] if opened[1] else []
            continue
        for client in senders[turn % steps :: steps]:
            with suppress(OSError):  # the server may have closed it, which is counted at the end
                client.sendall(b"x")
        turn += 1
        if select.select([sys.stdin], [], [], _TICK)[0]:
            return clients
    return clients


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    allow_descriptors(arguments.count + 100)
    made = run(arguments.port, arguments.count, arguments.seconds)
    waiting = [each for index, each in enumerate(made) if _KINDS[index % 10] is not _DOWNLOAD]
    print(json.dumps({"open": len(made), "closed": closed(waiting)}), flush=True)

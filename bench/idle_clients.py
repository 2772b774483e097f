"""Many connections that rest after one request each.

python -m bench.idle_clients PORT COUNT

Says on a line of JSON how many it could open, holds them until its standard input ends, and then
says how many of them the server has closed meanwhile.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

from bench.measure import allow_descriptors
from bench.open_loop import read_answer

_PER_ADDRESS: Final = 4000
"""Connections from one source address: a port serves one at a time, and there are 28,000."""

_BATCH: Final = 32
"""Connections whose first requests are on their way together."""

_PATIENCE: Final = 5.0


def send(port: int, index: int, request: bytes) -> socket.socket:
    """Open one connection, from an address of its own for each few thousand, and ask."""
    client = socket.socket()
    try:
        client.settimeout(_PATIENCE)
        client.bind((f"127.0.0.{2 + index // _PER_ADDRESS}", 0))
        client.connect(("127.0.0.1", port))
        client.sendall(request)
    except OSError:
        client.close()
        raise
    return client


def open_all(
    port: int, count: int, request: bytes, read: Callable[[socket.socket], object]
) -> tuple[list[socket.socket], str]:
    """Up to ``count`` connections that got an answer, and why there are not more.

    Args:
        port: of the server.
        count: how many are wanted.
        request: what each of them sends.
        read: reads the answer to it. Raises `OSError` where there is none.
    """
    clients: list[socket.socket] = []
    sent: deque[socket.socket] = deque()
    try:
        while len(clients) < count:
            while len(sent) < _BATCH and len(clients) + len(sent) < count:
                sent.append(send(port, len(clients) + len(sent), request))
            while sent:
                read(sent[0])
                clients.append(sent.popleft())
    except OSError as error:
        for client in sent:
            client.close()
        return clients, str(error) or type(error).__name__
    return clients, ""


def closed(clients: list[socket.socket]) -> int:
    """How many of them have something to read, which can only be the end."""
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN | select.POLLRDHUP)
    return len(poll.poll(0))


def main() -> None:
    """Open, hold and close."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    allow_descriptors(options.count + 100)
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{options.port}\r\n\r\n".encode()
    clients, error = open_all(options.port, options.count, request, read_answer)
    print(json.dumps({"opened": len(clients), "error": error}), flush=True)
    sys.stdin.read()
    print(json.dumps({"closed": closed(clients)}), flush=True)
    for client in clients:
        client.close()


if __name__ == "__main__":
    main()

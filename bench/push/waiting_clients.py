"""Many clients that wait for what the server sends.

python -m bench.push.waiting_clients PORT COUNT KIND

Says on a line of JSON how many it could open. For each line of its standard input, which is a
number of bytes, it reads until every client has got that many, and says how long after that line
the last one had them. When the input ends, it says how many of them the server has closed.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections import deque
from enum import Enum
from typing import Final

from bench.idle_clients import closed
from bench.measure import allow_descriptors
from bench.push.echo_clients import HANDSHAKE

_PER_ADDRESS: Final = 4000
"""Connections from one source address: a port serves one at a time, and there are 28,000."""

_BATCH: Final = 32
"""Connections whose first requests are on their way together."""

_PATIENCE: Final = 20.0


class Kind(Enum):
    """What a client opens, and waits on: the path of the request."""

    PLAIN = "/"
    WEBSOCKET = "/websocket"
    EVENTS = "/events"


def send(port: int, index: int, kind: Kind) -> socket.socket:
    """Open one connection, from an address of its own for each few thousand, and ask."""
    client = socket.socket()
    request = (
        HANDSHAKE.format(path=kind.value, port=port)
        if kind is Kind.WEBSOCKET
        else f"GET {kind.value} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    )
    try:
        client.settimeout(_PATIENCE)
        client.bind((f"127.0.0.{2 + index // _PER_ADDRESS}", 0))
        client.connect(("127.0.0.1", port))
        client.sendall(request.encode())
    except OSError:
        client.close()
        raise
    return client


def _await_opened(client: socket.socket, kind: Kind) -> None:
    """Read the answer: a head, and the first part of the body where there is one."""
    ends = {Kind.WEBSOCKET: b"\r\n\r\n", Kind.EVENTS: b"retry: 3000\n\n\r\n", Kind.PLAIN: b"world!"}
    data = b""
    while not data.endswith(ends[kind]):
        piece = client.recv(4096)
        if not piece:
            raise ConnectionError(f"the server closed after {data[:80]!r}")
        data += piece


def open_all(port: int, count: int, kind: Kind) -> tuple[list[socket.socket], str]:
    """Up to ``count`` clients that wait, and why there are not more."""
    clients: list[socket.socket] = []
    sent: deque[socket.socket] = deque()
    try:
        while len(clients) < count:
            while len(sent) < _BATCH and len(clients) + len(sent) < count:
                sent.append(send(port, len(clients) + len(sent), kind))
            while sent:
                _await_opened(sent[0], kind)
                clients.append(sent.popleft())
    except OSError as error:
        for client in sent:
            client.close()
        return clients, str(error) or type(error).__name__
    return clients, ""


def read_all(clients: list[socket.socket], size: int) -> float:
    """Read ``size`` bytes on each client; the seconds until the last one had them."""
    began = time.monotonic()
    missing = {each.fileno(): size for each in clients}
    by_descriptor = {each.fileno(): each for each in clients}
    with select.epoll() as epoll:
        for descriptor in missing:
            epoll.register(descriptor, select.EPOLLIN)
        while missing and time.monotonic() < began + _PATIENCE:
            for descriptor, _ in epoll.poll(1):
                data = by_descriptor[descriptor].recv(65536)
                missing[descriptor] -= len(data)
                if not data or missing[descriptor] <= 0:
                    epoll.unregister(descriptor)
                    del missing[descriptor]
    return time.monotonic() - began


def main() -> None:
    """Open, hold, read and close."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("kind", type=lambda name: Kind[name])
    options = parser.parse_args()
    allow_descriptors(options.count + 100)
    clients, error = open_all(options.port, options.count, options.kind)
    print(json.dumps({"opened": len(clients), "error": error}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": read_all(clients, int(line))}), flush=True)
    print(json.dumps({"closed": closed(clients)}), flush=True)
    for client in clients:
        client.close()


if __name__ == "__main__":
    main()

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
from enum import Enum
from functools import partial
from typing import Final

from bench.idle_clients import closed, open_all
from bench.measure import allow_descriptors
from bench.push.echo_clients import HANDSHAKE

_PATIENCE: Final = 20.0


class Kind(Enum):
    """What a client opens, and waits on: the path of the request."""

    PLAIN = "/"
    WEBSOCKET = "/websocket"
    EVENTS = "/events"


def _request(port: int, kind: Kind) -> bytes:
    """The request that opens what a client waits on."""
    if kind is Kind.WEBSOCKET:
        return HANDSHAKE.format(path=kind.value, port=port).encode()
    return f"GET {kind.value} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def _await_opened(client: socket.socket, kind: Kind) -> None:
    """Read the answer: a head, and the first part of the body where there is one."""
    ends = {Kind.WEBSOCKET: b"\r\n\r\n", Kind.EVENTS: b"retry: 3000\n\n\r\n", Kind.PLAIN: b"world!"}
    data = b""
    while not data.endswith(ends[kind]):
        piece = client.recv(4096)
        if not piece:
            raise ConnectionError(f"the server closed after {data[:80]!r}")
        data += piece


def read_all(clients: list[socket.socket], size: int) -> float:
    """Read ``size`` bytes on each client; the seconds until the last one had them.

    Ends the program where some do not get them, since there is no such time then.
    """
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
    if missing:
        sys.exit(f"{len(missing)} clients lack a part of {size} bytes after {_PATIENCE:g} s")
    return time.monotonic() - began


def main() -> None:
    """Open, hold, read and close."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("kind", type=lambda name: Kind[name])
    options = parser.parse_args()
    allow_descriptors(options.count + 100)
    request = _request(options.port, options.kind)
    read = partial(_await_opened, kind=options.kind)
    clients, error = open_all(options.port, options.count, request, read)
    print(json.dumps({"opened": len(clients), "error": error}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": read_all(clients, int(line))}), flush=True)
    print(json.dumps({"closed": closed(clients)}), flush=True)
    for client in clients:
        client.close()


if __name__ == "__main__":
    main()

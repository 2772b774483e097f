"""A closed loop over websockets: each sends its next message when the last has come back.

python -m bench.push.echo_clients PORT PATH SECONDS CONNECTIONS

The messages are texts of 40 bytes. The client is one thread without any library of websockets, so
that the server is what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import statistics
import time
from typing import Final

_TEXT: Final = b"forty bytes of text, as in a small event"
_MASK: Final = b"\x1a\x2b\x3c\x4d"
_MASKED: Final = bytes(byte ^ _MASK[index & 3] for index, byte in enumerate(_TEXT))
_MESSAGE: Final = bytes((0x81, 0x80 | len(_TEXT))) + _MASK + _MASKED
_ECHO: Final = bytes((0x81, len(_TEXT))) + _TEXT
_PATIENCE: Final = 10.0

HANDSHAKE: Final = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)
"""A request that opens a websocket, without extensions."""


def open_websocket(port: int, path: str) -> socket.socket:
    """Open a websocket. Raises `OSError` where the server does not."""
    client = socket.create_connection(("127.0.0.1", port), _PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(HANDSHAKE.format(path=path, port=port).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = client.recv(1)  # what follows the head is a message already
        if not data:
            break
        head += data
    if b" 101 " not in head:
        raise ConnectionError(f"no websocket was opened: {head[:80]!r}")
    return client


def measure(port: int, path: str, seconds: float, count: int) -> dict[str, float]:
    """Let ``count`` websockets exchange messages for ``seconds``."""
    clients = {each.fileno(): each for each in (open_websocket(port, path) for _ in range(count))}
    epoll = select.epoll()
    received = dict.fromkeys(clients, b"")
    sent = {}
    latencies: list[float] = []
    for descriptor in clients:
        epoll.register(descriptor, select.EPOLLIN)
        sent[descriptor] = time.monotonic()
        os.write(descriptor, _MESSAGE)
    began = time.monotonic()
    until = began + seconds
    while (now := time.monotonic()) < until:
        for descriptor, _ in epoll.poll(1):
            data = received[descriptor] + os.read(descriptor, 4096)
            if len(data) < len(_ECHO):
                received[descriptor] = data
                continue
            if data != _ECHO:
                raise ConnectionError(f"another message came back: {data[:80]!r}")
            received[descriptor] = b""
            now = time.monotonic()
            latencies.append(now - sent[descriptor])
            sent[descriptor] = now
            os.write(descriptor, _MESSAGE)
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    for client in clients.values():
        client.close()
    return {
        "messages": len(latencies),
        "seconds": now - began,
        "p50": cuts[49] * 1e3,
        "p99": cuts[98] * 1e3,
    }


def main() -> None:
    """Make the load, then report it as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("seconds", type=float)
    parser.add_argument("connections", type=int)
    options = parser.parse_args()
    print(json.dumps(measure(options.port, options.path, options.seconds, options.connections)))


if __name__ == "__main__":
    main()

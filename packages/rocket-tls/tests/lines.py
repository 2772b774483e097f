"""A protocol of lines, for tests to have something to serve."""

from __future__ import annotations

import hashlib
import os
import queue
import select
from pathlib import Path

from rocket_core import CloseReason, Connection, State, Worker
from rocket_core.extending import UpgradedSocket

Closes = queue.SimpleQueue[CloseReason | None]


def pattern(size: int) -> bytes:
    """Return bytes in which no part resembles the next one."""
    return hashlib.shake_128(b"pattern").digest(size)


def echo(sock: UpgradedSocket, size: int) -> State:
    """Send back what arrives, and read ``size`` bytes when the descriptor is ready."""
    try:
        sock.sendall(b"taken\n")
        while select.select([sock], [], [])[0] and (data := sock.recv(size)):
            sock.sendall(data)
    except OSError:
        sock.close()
    sock.end()
    return State.LINGER


class Lines(Worker):
    """Serves each line as a command, once it has arrived whole."""

    def __init__(self, closes: Closes) -> None:
        self._closes = closes

    def receive(self, connection: Connection) -> State:
        if connection.find(b"\n") < 0 and connection.fill() == 0:
            return State.CLOSED
        if connection.find(b"\n") >= 0:
            return State.READY
        return State.HEAD if connection.buffered else State.IDLE

    def serve(self, connection: Connection) -> State:
        line = connection.readline().decode()
        command, _, argument = line.strip().partition(" ")
        match command:
            case "shout":
                connection.write(argument.upper().encode() + b"\n")
            case "tell":
                values = [str(getattr(connection, each)) for each in argument.split()]
                connection.write(" ".join(values).encode() + b"\n")
            case "environ":
                told = (connection.environ or {}).items()
                connection.write(
                    "".join(f"{key}={value}\0" for key, value in told).encode() + b"\n"
                )
            case "pattern":
                connection.write(pattern(int(argument)))
            case "file":
                size = Path(argument).stat().st_size
                descriptor = os.open(argument, os.O_RDONLY)
                connection.write(b"before ")
                connection.send_file(descriptor, 0, size)
                connection.write(b" after")
                os.close(descriptor)
            case "digest":
                connection.write(hashlib.sha256(connection.read(int(argument))).digest())
            case "fail":
                connection.write(b"half an ans")
                raise RuntimeError("asked to")
            case "echo":
                return echo(UpgradedSocket(connection), int(argument))
            case "close" | "linger":
                connection.write(b"closed")
                return State.CLOSED if command == "close" else State.LINGER
        return State.IDLE

    def closed(self, connection: Connection) -> None:
        self._closes.put(connection.close_reason)

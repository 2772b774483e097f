"""Clients that ask again and again, and note every request that fails."""

from __future__ import annotations

import re
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Self

LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was not answered as it should be.

    Attributes:
        kind: the kind of client, `kept` or `fresh`.
        reason: what went wrong.
        sent: when the request was sent, by `time.monotonic`.
        failed: when that was seen.
    """

    kind: str
    reason: str
    sent: float
    failed: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of status 200: its body, when its connection was made, and when it was asked."""

    body: str
    connected: float
    sent: float


@dataclass(slots=True, eq=False)
class _Client:
    kept: bool
    path: str
    socket: socket.socket | None = None
    connected: float = 0.0
    sent: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    @property
    def kind(self) -> str:
        return "kept" if self.kept else "fresh"


class Load(threading.Thread):
    """So many clients that keep their connection, and so many that make one for each request.

    They are served by one thread, so that none of them is late because of another thread. As a
    context manager it runs meanwhile.
    """

    def __init__(self, address: tuple[str, int], kept: int, fresh: int) -> None:
        super().__init__(name="load", daemon=True)
        self._address = address
        self._selector = selectors.DefaultSelector()
        self._clients = [_Client(kept=True, path="/") for _ in range(kept)]
        self._clients += [_Client(kept=False, path="/") for _ in range(fresh)]
        for client in self._clients[::10]:
            client.path = "/slow"
        self._stopping = False
        self.failures: list[Failure] = []
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Begin no further request, and wait for the answers to those that have begun."""
        self._stopping = True
        self.join()

    def run(self) -> None:
        for client in self._clients:
            self._ask(client)
        while self._selector.get_map():
            for key, _ in self._selector.select(30):
                self._receive(key.data)

    def _ask(self, client: _Client) -> None:
        if self._stopping:
            self._close(client)
            return
        try:
            if client.socket is not None and _is_closed(client.socket):
                self._close(client)  # as any client looks before it uses a connection again
            if client.socket is None:
                client.socket = socket.create_connection(self._address, 30)
                client.socket.setblocking(False)
                client.connected = time.monotonic()
                self._selector.register(client.socket, selectors.EVENT_READ, client)
            client.received.clear()
            client.sent = time.monotonic()
            client.socket.send(_request(client))
        except OSError as error:
            self._fail(client, f"{error}")

    def _receive(self, client: _Client) -> None:
        assert client.socket is not None
        try:
            data = client.socket.recv(1 << 16)
        except OSError as error:
            self._fail(client, f"{error}")
            return
        client.received += data
        if not data:
            self._fail(client, f"end of the connection after {bytes(client.received)!r}")
            return
        head, end, body = bytes(client.received).partition(b"\r\n\r\n")
        length = LENGTH.search(head + b"\r\n")
        if not end or length is None or len(body) < int(length[1]):
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._fail(client, head.decode())
            return
        self.answers.append(Answer(body.decode(), client.connected, client.sent))
        if not client.kept or b"\r\nConnection: close" in head:
            self._close(client)
        self._ask(client)

    def _fail(self, client: _Client, reason: str) -> None:
        self.failures.append(Failure(client.kind, reason, client.sent, time.monotonic()))
        self._close(client)
        if not self._stopping and len(self.failures) < 10_000:
            self._ask(client)

    def _close(self, client: _Client) -> None:
        if client.socket is not None:
            self._selector.unregister(client.socket)
            client.socket.close()
            client.socket = None


def _request(client: _Client) -> bytes:
    fields = "" if client.kept else "Connection: close\r\n"
    return f"GET {client.path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


def _is_closed(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False

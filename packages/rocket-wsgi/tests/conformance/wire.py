"""A worker and a connection without a network: the given pieces arrive one at a time."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from conformance.case import Seen
from conformance.echo import MAX_BODY, seen
from rocket_core import Connection, Peer, State
from rocket_wsgi import WSGIWorker

_PEER = Peer("192.0.2.1", 1)
_DATE = re.compile(rb"Date: [^\r]*\r\n")


class Wire(Connection):
    """A connection that receives from a list, and collects what is sent."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__(socket.socket(), _PEER, _PEER)
        self.pieces = [piece for piece in pieces if piece][::-1]
        self._size = sum(map(len, self.pieces))
        self.sent = b""

    @property
    def taken(self) -> int:
        """The number of bytes that the worker has taken."""
        return self._size - sum(map(len, self.pieces)) - self.buffered

    def receive_now(self, size: int) -> bytes:
        if not self.pieces:
            raise BlockingIOError
        piece = self.pieces.pop()
        if len(piece) > size:
            self.pieces.append(piece[size:])
        return piece[:size]

    def send_now(self, data: bytes | bytearray | memoryview) -> int:
        self.sent += data
        return len(data)


@dataclass(frozen=True)
class Outcome:
    """The result of an exchange.

    Attributes:
        seen: the requests that reached the application.
        targets: their targets as sent.
        ends: for each request, the number of bytes that were taken up to its end.
        answers: the bytes that the client received, without ``Date``.
        state: the state of the connection at the end; CLOSED if the server closes it.
    """

    seen: tuple[Seen, ...]
    targets: tuple[str, ...]
    ends: tuple[int, ...]
    answers: bytes
    state: State

    @property
    def statuses(self) -> list[int]:
        return [
            int(found) for found in re.findall(rb"^HTTP/1\.1 (\d+) ", self.answers, re.MULTILINE)
        ]


def exchange(pieces: Iterable[bytes]) -> Outcome:
    """Let a worker serve a client that sends these pieces, in the manner of a server."""
    requests: list[Seen] = []
    targets: list[str] = []
    ends: list[int] = []

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        requests.append(seen(environ))
        targets.append(environ["REQUEST_URI"])
        ends.append(wire.taken)
        start_response("200 OK", [])
        return [b"served\n"]

    worker = WSGIWorker(application, max_body=MAX_BODY)
    wire = Wire(pieces)
    try:
        state = _serve(worker, wire)
        worker.closed(wire)
    finally:
        wire.close()
    answers = _DATE.sub(b"", wire.sent)
    return Outcome(tuple(requests), tuple(targets), tuple(ends), answers, state)


def _serve(worker: WSGIWorker, wire: Wire) -> State:
    wire.state = State.IDLE
    while True:
        wire.state = worker.receive(wire)
        if wire.state is State.READY:
            wire.state = State.ACTIVE
            wire.state = worker.serve(wire)
            if wire.state is State.IDLE and wire.buffered:
                continue
        if wire.state in (State.LINGER, State.CLOSED):
            return State.CLOSED
        if not wire.pieces:
            return wire.state

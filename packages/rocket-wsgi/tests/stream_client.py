"""A client of HTTP/2 that is used as one of HTTP/1.1 with one request at a time is."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from http2_client import HTTP2Client
from rocket_core.testing import Answer
from served import Served

if TYPE_CHECKING:
    from rocket_core import TCPAddress
    from rocket_core.testing import Client

_ONLY_HTTP1 = frozenset({"host", "connection", "upgrade", "sec-websocket-key"})


class StreamClient:
    """One connection, on which requests follow one another, each on a stream of its own.

    It has the methods of `Client` that suit a stream, and takes requests as that does.
    """

    def __init__(
        self,
        address: TCPAddress,
        *,
        receive_buffer: int | None = None,
        http2: HTTP2Client | None = None,
    ) -> None:
        """Connect, or share the connection ``http2`` with others, all on the same thread."""
        self.http2 = http2 or HTTP2Client(address, receive_buffer=receive_buffer)
        self._address = address
        self.stream = 0
        self._read = 0
        self._tunnel = False

    def send(self, data: bytes) -> None:
        """Send a request, or a part of what follows the handshake of a websocket."""
        if self._tunnel:
            self.http2.send(self.stream, data, end=False)
            return
        head, _, body = data.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        method, path, version = line.split(" ")
        assert version == "HTTP/1.1"
        fields = [
            (name.lower(), value) for name, _, value in (each.partition(": ") for each in rest)
        ]
        self._tunnel = ("upgrade", "websocket") in fields
        authority = dict(fields)["host"]
        kept = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in fields
            if name not in _ONLY_HTTP1
        ]
        end = not body and not self._tunnel
        if self._tunnel:
            self.http2.until(lambda: self.http2.h2.remote_settings.enable_connect_protocol)
            method = "CONNECT"
        self.stream = self.http2.begin(
            path,
            method,
            kept,
            end=end,
            protocol="websocket" if self._tunnel else "",
            authority=authority,
        )
        self._read = 0
        if body:
            self.http2.send(self.stream, body)

    def head(self) -> Answer:
        """Read the head of a response."""
        answer = self.http2.answers[self.stream]
        self.http2.until(lambda: answer.status or answer.reset is not None)
        fields = [each for each in answer.fields if not each[0].startswith(":")]
        return Answer("HTTP/2", answer.status, "", fields)

    def answer(self, method: str = "GET") -> Answer:
        """Read a response with its whole body."""
        answer = self.head()
        answer.body = self.read_all()
        if method == "HEAD":
            assert not answer.body
        self._tunnel = False
        return answer

    def chunk(self) -> bytes:
        """Read an event, with the empty line behind it; empty at the end of the body."""
        answer = self.http2.answers[self.stream]
        self.http2.until(lambda: self._find_event() >= 0 or answer.ended)
        end = self._find_event()
        return self._take(len(answer.body) if end < 0 else end)

    def _find_event(self) -> int:
        at = self.http2.answers[self.stream].body.find(b"\n\n", self._read)
        return -1 if at < 0 else at + 2

    def _take(self, end: int) -> bytes:
        data = self.http2.answers[self.stream].body[self._read : end]
        self._read += len(data)
        return data

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes of the body, or fewer at its end. Raises `ConnectionError`."""
        answer = self.http2.answers[self.stream]
        while len(answer.body) < self._read + size and not answer.ended:
            if answer.reset is not None or self.http2.closed:
                raise ConnectionResetError("the server has reset the stream")
            self.http2.receive()
        return self._take(self._read + size)

    def read_all(self) -> bytes:
        """Read everything up to the end of the stream, or to its reset."""
        answer = self.http2.answers[self.stream]
        while not answer.ended and answer.reset is None and not self.http2.closed:
            self.http2.receive()
        return self._take(len(answer.body))

    def closed_by_server(self) -> bool:
        """Wait until the server has closed the connection; the result is always true.

        Of a websocket, wait until it has ended the stream, and end this side.
        """
        answer = self.http2.answers.get(self.stream)
        while not self.http2.closed:
            if self._tunnel and answer is not None and (answer.ended or answer.reset is not None):
                if answer.reset is None:
                    self.http2.send(self.stream, b"")
                break
            self.http2.receive()
        return True

    def leave(self) -> None:
        """Want no more, as a browser does that leaves a page."""
        self.http2.reset(self.stream)

    def half_close(self) -> None:
        """Send nothing more on the connection."""
        self.http2._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close the connection by a reset (RST)."""
        self.http2._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.http2._socket.close()

    def close(self) -> None:
        """Close the connection, with nothing unread, for which the system would reset it."""
        with suppress(OSError):
            self.half_close()
            self._tunnel = False
            self.closed_by_server()
        self.http2.close()


class ServedStreams(Served):
    """A running server, whose clients speak HTTP/2, each of them on a connection of its own."""

    def open(self, receive_buffer: int | None = None) -> Client:
        """Connect a client."""
        client: Client = StreamClient(  # type: ignore[assignment] # which has what tests use
            self.address, receive_buffer=receive_buffer
        )
        self._clients.append(client)
        return client

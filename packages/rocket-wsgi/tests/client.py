"""A client that sends exactly the bytes it is given."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rocket_core import Server


@dataclass
class Answer:
    version: str
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        values = [value for key, value in self.fields if key == name.lower()]
        assert len(values) == 1, f"{name}: {values}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return any(key == name.lower() for key, _ in self.fields)


class Client:
    """Opens connections to one server."""

    def __init__(self, address: tuple[str, int], server: Server) -> None:
        self.address = address
        self.server = server
        self._streams: list[Stream] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()

    def open(self, receive_buffer: int | None = None) -> Stream:
        stream = Stream.open(self.address, receive_buffer)
        self._streams.append(stream)
        return stream

    def stop(self) -> None:
        """Stop the server, so that everything it had to log is logged."""
        self.server.stop()
        assert self.server.wait(30)

    def get(self, path: str = "/", method: str = "GET", **settings: Any) -> Answer:
        stream = self.open()
        stream.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
        return stream.answer(method, **settings)

    def exchange(self, data: bytes) -> Answer:
        stream = self.open()
        stream.send(data)
        return stream.answer()


class Stream:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._reader = sock.makefile("rb")

    @classmethod
    def open(cls, address: tuple[str, int], receive_buffer: int | None = None) -> Self:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(30)
        sock.connect(address)
        return cls(sock)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end of the stream."""
        return self._reader.read(size)

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        return self._reader.read()

    def head(self) -> tuple[str, int, str, list[tuple[str, str]]]:
        version, status, reason = self._line().split(" ", 2)
        fields = []
        while line := self._line():
            name, _, value = line.partition(": ")
            fields.append((name.lower(), value))
        return version, int(status), reason, fields

    def answer(self, method: str = "GET") -> Answer:
        answer = Answer(*self.head(), b"")
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return answer
        if "Transfer-Encoding" in answer:
            assert answer["Transfer-Encoding"] == "chunked"
            assert "Content-Length" not in answer
            answer.body = b"".join(self._chunks())
        elif "Content-Length" in answer:
            size = int(answer["Content-Length"])
            answer.body = self._reader.read(size)
        else:
            answer.body = self.rest()
        return answer

    def chunk(self) -> bytes:
        size = int(self._line(), 16)
        data = self._reader.read(size)
        assert self._reader.read(2) == b"\r\n"
        return data

    def _chunks(self) -> list[bytes]:
        chunks = []
        while chunk := self.chunk():
            chunks.append(chunk)
        return chunks

    def _line(self) -> str:
        line = self._reader.readline()
        assert line.endswith(b"\r\n"), line
        return line[:-2].decode("latin-1")

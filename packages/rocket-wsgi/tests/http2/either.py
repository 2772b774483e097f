"""Requests of an application over either protocol, whose results can be compared."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h2.exceptions

from http2_client import HTTP2Client, StreamAnswer
from rocket_core.testing import Client

if TYPE_CHECKING:
    from collections.abc import Iterable

    from served import Served

HTTP1 = "HTTP/1.1"
HTTP2 = "HTTP/2"
_OF_CONNECTION = ("connection", "transfer-encoding")
_BODILESS = (204, 304)


@dataclass
class Result:
    """A response, as far as both protocols have it.

    Attributes:
        status: the status code; 0 if there is no response.
        fields: the fields in their order, names in lower case, without those of the connection.
        hints: the fields of the interim responses.
        complete: whether the client knows that the body is complete.
    """

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    hints: list[list[tuple[str, str]]]
    complete: bool

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key == name)

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.fields)


class Either:
    """Asks a server over one protocol, each time on a connection of its own.

    Attributes:
        protocol: `HTTP1` or `HTTP2`.
    """

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol

    def ask(
        self,
        served: Served,
        path: str = "/",
        method: str = "GET",
        fields: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Result:
        """Return the response. ``body`` goes with its Content-Length; None: there is none."""
        sent = list(fields)
        if body is not None:
            sent.append(("content-length", str(len(body))))
        if self.protocol == HTTP2:
            with HTTP2Client(served.address, checks=False) as client:
                lower = [(name.lower(), value) for name, value in sent]
                stream = client.begin(path, method, lower, end=not body)
                with suppress(h2.exceptions.StreamClosedError):  # the response came before
                    if body:
                        client.send(stream, body)
                return _result(client.answer(stream))
        with Client(served.address) as plain:
            lines = [f"{name}: {value}" for name, value in sent]
            lines = [f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]
            plain.send("\r\n".join(lines).encode("latin-1") + (body or b""))
            return _read(plain, method)


def _result(answer: StreamAnswer) -> Result:
    fields = [each for each in answer.fields if each[0] != ":status"]
    hints = [[each for each in hint if each[0] != ":status"] for hint in answer.hints]
    return Result(answer.status, fields, answer.body, hints, complete=answer.ended)


def _read(client: Client, method: str) -> Result:
    hints = []
    while (answer := client.head()).status < 200:
        hints.append(answer.fields)
    fields = [each for each in answer.fields if each[0] not in _OF_CONNECTION]
    result = Result(answer.status, fields, b"", hints, complete=True)
    if method == "HEAD" or answer.status in _BODILESS:
        return result
    if "Transfer-Encoding" in answer:
        with suppress(ConnectionResetError):
            while line := client.read_line():
                size = int(line, 16)
                result.body += client.read(size)
                client.read(2)
                if not size:
                    return result
        result.complete = False
        return result
    size = int(answer["Content-Length"])
    result.body = client.read(size)
    result.complete = len(result.body) == size
    return result

"""`Response` has the rules of PEP 3333, and leaves the framing to a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from rocket_core import State
from rocket_wsgi._environ.request import Request
from rocket_wsgi._response.response import Response
from rocket_wsgi._response.response_head import ResponseHead, ResponseHeads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rocket_wsgi._offers.begun import Refused
    from rocket_wsgi._types import Headers


class Server:
    draining = False


class Wire:
    """In place of a connection: keeps the written heads, and nothing of HTTP/1.1."""

    def __init__(self) -> None:
        self.lease = None
        self.server = Server()
        self.frames: list[Any] = []

    def write(self, data: bytes) -> None:
        self.frames.append(data)


class Head(ResponseHead):
    """A head that is not encoded."""

    def __init__(self, status: str, headers: Headers) -> None:
        super().__init__(status, headers)
        self.size = 0


class Asked(Request):
    """A request that was read from nowhere."""

    def __init__(self, method: str) -> None:
        self.target = "/"
        self.version = "HTTP/3"
        self.method = method
        self.keep_alive = True
        self.body = None


class Framed(Response[Any, Any]):
    """A response of a protocol that records what is to be sent."""

    _connection: Any

    def ending(self) -> State:
        return State.CLOSED

    def take_back(self) -> None:
        self._connection.frames.append("taken back")

    def refuse(self, refused: Refused) -> None:
        self._connection.frames.append(refused)

    def _begin(self, length: int | None) -> bytes:
        return b"head %d" % (-1 if length is None else length)

    def _send_head(self, before: bytes) -> None:
        self._connection.frames.append(before)

    def _send_whole(self, data: bytes, length: int) -> None:
        self._connection.frames.append(("whole", data, length))

    def _send_part(self, before: bytes, data: bytes, in_memory: bool) -> None:
        self._connection.frames.append((before, data, in_memory))

    def _send_end(self) -> None:
        self._connection.frames.append("end")

    def _send_file(self, before: bytes, descriptor: int, offset: int, count: int) -> None:
        self._connection.frames.append((before, descriptor, offset, count))

    def _send_spans(
        self, before: bytes, descriptor: int, spans: Sequence[tuple[bytes, int, int]]
    ) -> None:
        self._connection.frames.append((before, descriptor, *spans))

    def _send_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        self._connection.frames.append(("hints", *headers))


def respond(method: str = "GET") -> tuple[Framed, list[Any]]:
    wire = Wire()
    return Framed(cast("Any", wire), Asked(method), ResponseHeads(Head)), wire.frames


@pytest.mark.parametrize(
    ("method", "headers", "result", "frames"),
    [
        ("GET", [], [b"abc"], [("whole", b"abc", 3)]),
        ("GET", [], [], [("whole", b"", 0)]),
        ("GET", [("Content-Length", "2")], [b"abc"], [("whole", b"ab", 2)]),
        ("GET", [], [b"a", b"bc"], [(b"head -1", b"a", True), (b"", b"bc", True), "end"]),
        ("GET", [], iter([b"a"]), [(b"head -1", b"a", False), "end"]),
        ("GET", [], iter([]), [b"head 0"]),
        (
            "GET",
            [("Content-Length", "2")],
            iter([b"a", b"b", b"never"]),
            [(b"head 2", b"a", False), (b"", b"b", True), "end"],
        ),
        ("HEAD", [], [b"abc"], [b"head 3"]),
        ("HEAD", [], iter([b"abc"]), [b"head -1"]),
        ("HEAD", [("Content-Length", "9")], iter([]), [b"head 9"]),
    ],
)
def test_the_protocol_frames_what_the_application_returns(
    method: str, headers: Headers, result: Iterable[bytes], frames: list[Any]
) -> None:
    """It never gets more than the announced length, and no body for HEAD."""
    response, found = respond(method)
    response.start("200 OK", headers)
    response.send(result)
    assert found == frames
    assert not response.cut


def test_a_body_shorter_than_announced_is_cut() -> None:
    response, found = respond()
    response.start("200 OK", [("Content-Length", "5")])
    response.send([b"abc"])
    assert found == [("whole", b"abc", 5)]
    assert response.cut
    assert not response.keep_alive


def test_fields_of_the_server_are_added_unless_the_application_sends_them() -> None:
    response, _ = respond()
    response.own_fields = [("X-Request-ID", "1"), ("Strict-Transport-Security", "max-age=1")]
    response.start("200 OK", [("x-request-id", "2")])
    assert response._started == (
        "200 OK",
        [("x-request-id", "2"), ("Strict-Transport-Security", "max-age=1")],
    )

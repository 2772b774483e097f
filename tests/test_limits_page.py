"""What the page on limits says of a request is what a server answers, within and beyond a limit."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from http.client import HTTPResponse
from typing import TYPE_CHECKING

import pytest

from rocket_core import Listener, Server
from rocket_wsgi import StaticFiles, WSGIWorker
from systemtests.processes import PATIENCE, ROOT
from systemtests.tables import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

PAGE = ROOT / "docs" / "reference" / "limits.md"
LIMITS = {name: (value, beyond) for name, value, beyond in rows(PAGE, "## A request")}

UNITS = {"bytes": 1, "KiB": 1024}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return []


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "file").write_bytes(bytes(100))
    static = {"/files": StaticFiles(folder)}
    listener = Listener("127.0.0.1:0")
    with Server(lambda: WSGIWorker(application, static=static), [listener]):
        host, _, port = str(listener.address).rpartition(":")
        yield host, int(port)


def value_of(name: str) -> int:
    """The number of a limit, in bytes if it is a size."""
    number, _, unit = LIMITS[name][0].partition(" ")
    return int(number) * UNITS.get(unit.rstrip(","), 1)


def status_beyond(name: str) -> int:
    found = re.match(r"\d{3}", LIMITS[name][1])
    assert found is not None
    return int(found[0])


def status(address: tuple[str, int], request: bytes) -> int:
    with socket.create_connection(address, PATIENCE) as sock:
        sock.sendall(request)
        response = HTTPResponse(sock, method="GET")
        response.begin()
        return response.status


def with_line(size: int) -> bytes:
    return b"GET /" + b"a" * (size - len("GET / HTTP/1.1")) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def with_fields(*fields: bytes, method: bytes = b"GET", host: bytes = b"a") -> bytes:
    return b"\r\n".join([method + b" / HTTP/1.1", b"Host: " + host, *fields, b"", b""])


def with_head(size: int) -> bytes:
    """A head of four long fields and one that fills it up."""
    fields = [b"X: " + b"a" * 15_000] * 4
    rest = size - len(with_fields(*fields, b"Y: ").removesuffix(b"\r\n\r\n"))
    return with_fields(*fields, b"Y: " + b"a" * rest)


def with_chunks(*chunks: bytes, trailers: bytes = b"") -> bytes:
    head = with_fields(b"Transfer-Encoding: chunked", method=b"POST")
    return head + b"".join(chunks) + b"0\r\n" + trailers + b"\r\n"


def with_trailers(size: int) -> bytes:
    """Four long trailers and one that fills them up."""
    fields = [b"X: " + b"a" * 15_000] * 4
    last = b"Y: " + b"a" * (size - sum(map(len, fields)) - len("Y: "))
    return with_chunks(trailers=b"\r\n".join([*fields, last, b""]))


REACHING: dict[str, Callable[[int], bytes]] = {
    "request line": with_line,
    "a field": lambda size: with_fields(b"X: " + b"a" * (size - 3)),
    "a head": with_head,
    "fields of a head": lambda count: with_fields(*[b"X: 1"] * (count - 1)),
    "trailers: as fields, together": with_trailers,
    "the field `Host`, without port": lambda size: with_fields(host=b"a" * size + b":80"),
    "digits of `Content-Length`": lambda count: (
        with_fields(b"Content-Length: " + b"1".zfill(count), method=b"POST") + b"x"
    ),
    "the line before a chunk": lambda size: with_chunks(b"1;" + b"a" * (size - 2) + b"\r\nx\r\n"),
}
"""What makes a request that reaches a limit exactly if it is given the value of the limit."""


@pytest.mark.parametrize("name", REACHING)
def test_limit(address: tuple[str, int], name: str) -> None:
    limit = value_of(name)
    assert status(address, REACHING[name](limit)) == 200
    assert status(address, REACHING[name](limit + 1)) == status_beyond(name)


def test_method_that_is_longer_than_a_request_line(address: tuple[str, int]) -> None:
    assert LIMITS["request line"][1].endswith("501 for a longer method")
    beyond = value_of("request line") + len("\r\n") + 1
    assert status(address, b"A" * beyond) == 501


def test_average_size_of_chunks(address: tuple[str, int]) -> None:
    name = "average size of chunks, at least"
    found = re.fullmatch(r"(\d+) bytes, beyond (\d+) chunks", LIMITS[name][0])
    assert found is not None
    average, count = map(int, found.groups())

    def chunks(size: int, number: int) -> bytes:
        return with_chunks(*[f"{size:x}\r\n".encode() + b"x" * size + b"\r\n"] * number)

    assert status(address, chunks(average, count + 1)) == 200
    assert status(address, chunks(1, count)) == 200
    assert status(address, chunks(average - 1, count + 1)) == status_beyond(name)


def test_ranges_of_a_file(address: tuple[str, int]) -> None:
    name = "ranges of a request for a file"
    assert LIMITS[name][1] == "the whole file is sent"

    def ranges(number: int) -> bytes:
        wanted = ",".join(f"{2 * each}-{2 * each}" for each in range(number)).encode()
        return b"GET /files/file HTTP/1.1\r\nHost: a\r\nRange: bytes=" + wanted + b"\r\n\r\n"

    assert status(address, ranges(value_of(name))) == 206
    assert status(address, ranges(value_of(name) + 1)) == 200

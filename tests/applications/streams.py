"""An application for clients of HTTP/2."""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

PATIENCE = 60.0
TOGETHER = 6
PICTURES = 100
LARGE = 10_000_000

PAGE = b"<!doctype html><title>Pictures</title>" + b"".join(
    b'<img src="/picture/%d" alt="">' % number for number in range(PICTURES)
)

Answer = tuple[str, str, "Iterable[bytes]"]
"""The status, the media type, and the body of a response."""

_all_here = threading.Barrier(TOGETHER)
_counting = threading.Lock()
_pictures: Counter[str] = Counter()
"""How many pictures were asked for, by the address of the connection."""


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    name = environ["PATH_INFO"].split("/")[1]
    status, kind, body = ANSWERS.get(name, _hello)(environ)
    start_response(status, [("Content-Type", kind)])
    return body


def _hello(environ: WSGIEnvironment) -> Answer:
    return "200 OK", "text/plain", [f"hello over {environ['SERVER_PROTOCOL']}".encode()]


def _echo(environ: WSGIEnvironment) -> Answer:
    return "200 OK", "application/octet-stream", [environ["wsgi.input"].read()]


def _digest(environ: WSGIEnvironment) -> Answer:
    """What is uploaded is told by its SHA-256."""
    digest = hashlib.sha256()
    while piece := environ["wsgi.input"].read(1 << 16):
        digest.update(piece)
    return "200 OK", "text/plain", [digest.hexdigest().encode()]


def _large(_environ: WSGIEnvironment) -> Answer:
    return "200 OK", "application/octet-stream", [bytes(LARGE)]


def _pieces(_environ: WSGIEnvironment) -> Answer:
    """A response of unknown length."""
    return "200 OK", "application/octet-stream", (bytes(10_000) for _ in range(LARGE // 10_000))


def _meet(_environ: WSGIEnvironment) -> Answer:
    """Answer when as many requests are here as the barrier waits for."""
    _all_here.wait(PATIENCE)
    return "200 OK", "text/plain", [b"together"]


def _page(_environ: WSGIEnvironment) -> Answer:
    return "200 OK", "text/html; charset=utf-8", [PAGE]


def _picture(environ: WSGIEnvironment) -> Answer:
    number = int(environ["PATH_INFO"].rpartition("/")[2])
    with _counting:
        _pictures[f"{environ['REMOTE_ADDR']}:{environ['REMOTE_PORT']}"] += 1
    return "200 OK", "image/png", [_png(number)]


def _connections(_environ: WSGIEnvironment) -> Answer:
    return "200 OK", "application/json", [json.dumps(_pictures).encode()]


def _break(_environ: WSGIEnvironment) -> Answer:
    raise RuntimeError("on purpose, before the response")


def _cut(_environ: WSGIEnvironment) -> Answer:
    return "200 OK", "application/octet-stream", _until_it_fails()


def _until_it_fails() -> Iterator[bytes]:
    yield bytes(100_000)
    raise RuntimeError("on purpose, within the response")


def _png(number: int) -> bytes:
    """Return a picture of 8 x 8 pixels in one colour."""
    row = b"\0" + bytes([number, 255 - number, 128]) * 8
    parts = [
        (b"IHDR", b"\0\0\0\x08\0\0\0\x08\x08\x02\0\0\0"),
        (b"IDAT", zlib.compress(row * 8)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in parts
    )


ANSWERS: dict[str, Callable[[WSGIEnvironment], Answer]] = {
    "echo": _echo,
    "digest": _digest,
    "large": _large,
    "pieces": _pieces,
    "together": _meet,
    "page": _page,
    "picture": _picture,
    "connections": _connections,
    "break": _break,
    "cut": _cut,
}

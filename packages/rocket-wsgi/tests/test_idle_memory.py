"""What connections that wait for nothing but a request have kept of those before."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Serve
    from served import Served

COUNT = 20
PATIENCE = 30.0


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % size] if size else [bytes(int(environ["QUERY_STRING"] or 2))]


def settle(client: Served) -> None:
    """Wait until every connection is idle."""
    eventually(lambda: client.server.statistics().connections == {"idle": COUNT})


UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
CHUNKS = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + (b"7530\r\n" + bytes(30_000) + b"\r\n") * 10
    + b"0\r\n\r\n"
)
LARGE_HEAD = (
    b"GET / HTTP/1.1\r\nHost: a\r\n"
    + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 10_000) for number in range(6))
    + b"\r\n"
)
DOWNLOAD = b"GET /?1000000 HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [UPLOAD, CHUNKS, LARGE_HEAD, DOWNLOAD],
    ids=["upload", "chunks", "large head", "download"],
)
def test_an_idle_connection_keeps_no_buffer(serve: Serve, request_: bytes) -> None:
    client = serve(application, narrow=True)
    streams = [client.open() for _ in range(COUNT)]
    for stream in streams:
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert stream.answer().status == 200
    settle(client)
    tracemalloc.start()
    try:
        for stream in streams:
            stream.send(request_)
            assert stream.answer().status == 200
        settle(client)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / COUNT < 4096

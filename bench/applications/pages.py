"""The pages of the WSGI workloads, each as plain as it can be, so that servers are compared."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    Page = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

CHUNKS: Final = 10
COMPUTATION: Final = 20_000

_CHUNK: Final = b"x" * 1024
_STATIC: Final = Path(os.environ.get("BENCH_DATA", ""), "static")


def whole(body: bytes) -> Page:
    """A page that is ``body``."""
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]

    def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        del environ
        start_response("200 OK", headers.copy())
        return [body]

    return page


_OK: Final = whole(b"OK")


def upload(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body, and tell how long it was."""
    size = len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    if size != int(environ["CONTENT_LENGTH"]):
        raise ValueError(f"a body of {size} bytes")
    return _OK(environ, start_response)


def chunks(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Ten parts without a Content-Length."""
    del environ
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(CHUNKS):
        yield _CHUNK


def static(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A file, by the server's own wrapper if it has one."""
    path = _STATIC / "100k.bin"
    file = path.open("rb")
    headers = [("Content-Type", "application/octet-stream")]
    start_response("200 OK", [*headers, ("Content-Length", str(path.stat().st_size))])
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is not None:
        wrapped: Iterable[bytes] = wrapper(file, 65536)
        return wrapped
    with file:
        return [file.read()]


def sleep(seconds: float) -> Page:
    """A page that waits, as for a database."""

    def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        time.sleep(seconds)
        return _OK(environ, start_response)

    return page


def compute(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """About a millisecond of Python."""
    total = 0
    for number in range(COMPUTATION):
        total += number & 7
    if total != COMPUTATION * 7 // 2:
        raise ValueError(f"computed {total}")
    return _OK(environ, start_response)


hello: Final = whole(b"Hello, world!")
"""An application by itself: the same at every path."""

PAGES: Final[dict[str, Page]] = {
    "/": hello,
    "/64k": whole(b"x" * 65536),
    "/1m": whole(b"x" * 1048576),
    "/upload": upload,
    "/chunks": chunks,
    "/static/100k.bin": static,
    "/sleep": sleep(0.02),
    "/slow": sleep(0.1),
    "/compute": compute,
}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The page of the path."""
    return PAGES[environ["PATH_INFO"]](environ, start_response)

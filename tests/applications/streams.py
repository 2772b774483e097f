"""An application for clients of HTTP/2."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import StartResponse, WSGIEnvironment

PATIENCE = 60.0
TOGETHER = 6

_all_here = threading.Barrier(TOGETHER)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    answers: dict[str, Callable[[WSGIEnvironment], bytes]] = {
        "/echo": lambda environ: environ["wsgi.input"].read(),
        "/large": lambda environ: bytes(10_000_000),
        "/together": _meet,
    }
    answer = answers.get(environ["PATH_INFO"], _hello)
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [answer(environ)]


def _hello(environ: WSGIEnvironment) -> bytes:
    return f"hello over {environ['SERVER_PROTOCOL']}".encode()


def _meet(environ: WSGIEnvironment) -> bytes:
    """Return when as many requests are here as the barrier waits for."""
    _all_here.wait(PATIENCE)
    return b"together"

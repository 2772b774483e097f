"""An application that keeps 64 MiB of each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

kept: list[bytes] = []


def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    kept.append(b"x" * (64 << 20))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"kept\n"]

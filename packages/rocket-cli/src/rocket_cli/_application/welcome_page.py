"""The page that is served if there is no application."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Final
from wsgiref.types import StartResponse, WSGIEnvironment

_PAGE: Final = files("rocket_cli._application").joinpath("welcome.html").read_bytes()


def welcome(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the welcome page, which tells how to serve an application (PEP 3333)."""
    if environ["PATH_INFO"] not in ("", "/"):
        status, kind, body = (
            "404 Not Found",
            "text/plain",
            b"Not found. The welcome page is at /.\n",
        )
    else:
        status, kind, body = "200 OK", "text/html", _PAGE
    headers = [
        ("Content-Type", f"{kind}; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),  # an application will soon be at this URL
    ]
    start_response(status, headers)
    return [body]

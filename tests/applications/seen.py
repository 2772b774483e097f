"""An application that answers what it has been told of the request, as JSON.

It tells the length of the body, too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

KEYS = (
    "REMOTE_ADDR",
    "wsgi.url_scheme",
    "HTTP_HOST",
    "PATH_INFO",
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "SERVER_PROTOCOL",
    "rocket.peer",
)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    length = len(environ["wsgi.input"].read())
    body = json.dumps({key: environ.get(key) for key in KEYS} | {"length": length}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]

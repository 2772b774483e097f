"""An application that answers with the request that it was given."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from conformance.case import Seen

MAX_BODY = 64 * 1024
"""The maximum size of a body that the cases expect, in bytes."""


def seen(environ: dict[str, Any]) -> Seen:
    """Return the request of an environ. Reads its body."""
    fields = {
        key: value
        for key, value in environ.items()
        if key.startswith("HTTP_") or key == "CONTENT_TYPE"
    }
    body = environ["wsgi.input"].read()
    if "CONTENT_LENGTH" in environ:
        assert environ["CONTENT_LENGTH"] == str(len(body))
    return Seen(
        environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], fields, body
    )


def echo(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Answer with the request in JSON."""
    request = seen(environ)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [
        json.dumps([*vars(request).values()], default=lambda body: body.decode("latin-1")).encode()
    ]


def read_echo(answer: bytes) -> Seen:
    """Return the request in an answer of `echo`."""
    method, path, query, fields, body = json.loads(answer)
    return Seen(method, path, query, fields, body.encode("latin-1"))

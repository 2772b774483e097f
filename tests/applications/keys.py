"""An application that answers the names and types of all that is in its environ, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

PLAIN = (str, bool, float, tuple)


def kind_of(value: Any) -> str:
    """Return the type of a value, in the words of the page on the environ."""
    if isinstance(value, PLAIN):
        return type(value).__name__
    if isinstance(value, Mapping):
        return "mapping"
    if isinstance(value, type):
        return "class"
    if hasattr(value, "readline") or hasattr(value, "writelines"):
        return "file"
    return "function" if callable(value) else "object"


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = json.dumps({key: kind_of(value) for key, value in environ.items()}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]

"""Answers with what it was asked, so that bytes of another request are found out."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse

    from rocket_wsgi import WebSocket


class Marked:
    """Sends what it gets back, behind the mark of its handshake."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        ws.send(f"{self._mark}|{data!s}")


def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/socket":
        environ["rocket.websocket"].accept(Marked(query["mark"]))
        start_response("200 OK", [])
        return []
    if environ["PATH_INFO"] == "/events":
        stream = environ["rocket.events"].open()
        for number in range(int(query["repeat"])):
            stream.send(query["mark"], id=number)
        stream.close()
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return []
    found = [
        query["mark"],
        environ["HTTP_COOKIE"],
        environ["HTTP_AUTHORIZATION"],
        environ.get("SSL_TLS_SNI", ""),
        hashlib.sha256(body).hexdigest(),
    ]
    line = ("|".join(found) + "\n").encode()
    repeat = int(query["repeat"])
    headers = [("Content-Type", "text/plain"), ("X-Mark", query["mark"])]
    if query["way"] == "write":
        write = start_response("200 OK", headers)
        for _ in range(repeat):
            write(line)
        return []
    start_response("200 OK", headers)
    return [line * repeat] if query["way"] == "whole" else _parts(line, repeat)


def _parts(line: bytes, repeat: int) -> Iterator[bytes]:
    for _ in range(repeat):
        time.sleep(0)  # another thread may run
        yield line

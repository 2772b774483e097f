"""A chat and a feed of all processes of the command, or of all that use a Redis."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rocket_wsgi import Group

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse

    from rocket_wsgi import WebSocket

    Environ = dict[str, Any]

if url := os.environ.get("REDIS_URL"):
    from rocket_wsgi.redis_bus import RedisBus

    bus = RedisBus(url)
    everybody = Group(name="everybody", bus=bus)
    news = Group(name="news", bus=bus, history=100)
else:
    everybody = Group(name="everybody", shared=True)
    news = Group(name="news", shared=True, history=100)


class Chat:
    """Tells a client which process it talks to, and passes on what it says."""

    def on_open(self, ws: WebSocket) -> None:
        everybody.add(ws)
        ws.send(f"process {os.getpid()}")

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        everybody.send(data)


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/chat":
        environ["rocket.websocket"].accept(Chat())
        start_response("200 OK", [])
        return []
    if path == "/feed":
        stream = environ["rocket.events"].open(retry=0.1)
        news.add(stream, since=environ.get("HTTP_LAST_EVENT_ID"))
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return [b": welcome\n\n"]
    news.send("news", id=environ["QUERY_STRING"])
    start_response("204 No Content", [])
    return []

"""A page that has a websocket, an event stream and a deferred answer, for tests in a browser."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse

    from rocket_wsgi import WebSocket

PAGE = b"<!doctype html><title>Pushing</title>"

waiting: list[Any] = []
heard: list[str] = []
_lock = threading.Lock()


class Echo:
    """Sends what it gets back, and notes how it ends."""

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        if data == "close":
            ws.close(4001, "as asked")
        else:
            ws.send(data)

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        heard.append(f"websocket {code}")


def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    view = VIEWS.get(environ["PATH_INFO"], _page)
    return view(environ, start_response)


def _page(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/html")])
    return [PAGE]


def _echo(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    environ["rocket.websocket"].accept(Echo())
    start_response("200 OK", [("Set-Cookie", "opened=yes")])
    return []


def _feed(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """A stream that ends, so that a browser comes back, unless it has come back already."""
    stream = environ["rocket.events"].open(
        retry=0.1, on_close=lambda stream: heard.append("event stream")
    )
    last = int(environ.get("HTTP_LAST_EVENT_ID", 0))
    stream.send(f"after {last}", id=last + 1)
    if last != 1:
        stream.close()
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return []


def _poll(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    later = environ["rocket.deferred"].hold(on_close=lambda later: heard.append("answer"))
    with _lock:
        waiting.append(later)
    start_response("200 OK", [])
    return []


def _answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer all that wait, and tell how many these were."""
    with _lock:
        answered, waiting[:] = list(waiting), []
    for later in answered:
        later.answer("200 OK", [("Content-Type", "text/plain")], b"news")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(answered)).encode()]


def _heard(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(heard).encode()]


def _trailers(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
    body = environ["wsgi.input"].read()
    sent = environ["rocket.trailers"].get("x-sum", "none")
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield body or b"empty"
    environ["rocket.send_trailers"]([("X-Sum", sent), ("X-Size", str(len(body)))])


VIEWS: dict[str, Callable[[dict[str, Any], StartResponse], Iterable[bytes]]] = {
    "/answer": _answer,
    "/echo": _echo,
    "/feed": _feed,
    "/heard": _heard,
    "/poll": _poll,
    "/trailers": _trailers,
}

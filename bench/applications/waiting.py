"""An application whose clients wait: websockets, event streams, and broadcasts to them.

There are no pings, so that what is measured at rest is rest.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from bench.applications.pages import hello
from rocket_wsgi import Group, WebSocket

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from bench.applications.pages import Page

TEXT: Final = "forty bytes of text, as in a small event"

WEBSOCKETS: Final = Group()
STREAMS: Final = Group()


class Waiting:
    """A websocket that is sent what all are sent."""

    def on_open(self, websocket: WebSocket) -> None:
        """Wait with the others."""
        WEBSOCKETS.add(websocket)


class Echo:
    """A websocket whose messages come back."""

    def on_message(self, websocket: WebSocket, data: str | bytes) -> None:
        """Send a message back."""
        websocket.send(data)


def _accept(handler: object) -> Page:
    def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.websocket"].accept(handler, ping=None)
        start_response("200 OK", [])
        return []

    return page


def _events(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    STREAMS.add(environ["rocket.events"].open(ping=None))
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return [b": welcome\n\n"]


def _broadcast(group: Group) -> Page:
    def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Tell how many took a message, and what it took of this thread."""
        del environ
        began = time.thread_time()
        taken = group.send(TEXT)
        body = json.dumps({"taken": taken, "seconds": time.thread_time() - began}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    return page


PAGES: Final[dict[str, Page]] = {
    "/websocket": _accept(Waiting()),
    "/echo": _accept(Echo()),
    "/events": _events,
    "/broadcast/websocket": _broadcast(WEBSOCKETS),
    "/broadcast/events": _broadcast(STREAMS),
}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The page of the path; the greeting, where there is none."""
    page: Page = PAGES.get(environ["PATH_INFO"], hello)
    return page(environ, start_response)

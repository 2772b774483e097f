"""Views that use the offers, and what they have got."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from rocket_core.testing import PATIENCE

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from rocket_wsgi import DeferredAnswer, EventStream
    from served import Served

View = Callable[[dict[str, Any], "StartResponse"], Iterable[bytes]]

T = TypeVar("T")

EVENTS = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")]


class Views:
    """Keeps what views have begun, and what callbacks were told, for a test that waits for it."""

    def __init__(self) -> None:
        self.streams: queue.SimpleQueue[EventStream] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[DeferredAnswer] = queue.SimpleQueue()
        self.closed: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def stream(self) -> EventStream:
        """Wait for the next event stream that was begun."""
        return self.streams.get(timeout=PATIENCE)

    def later(self) -> DeferredAnswer:
        """Wait for the next deferred answer that was begun."""
        return self.answers.get(timeout=PATIENCE)

    def ended(self) -> Any:
        """Wait for the next call of ``on_close``, and return its argument."""
        return self.closed.get(timeout=PATIENCE)

    def feed(self, status: str = "200 OK", body: Iterable[bytes] = (), **options: Any) -> View:
        """Return a view that opens an event stream."""
        fields = options.pop("fields", EVENTS)

        def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/other":
                return plain(environ, start_response)
            options.setdefault("on_close", self.closed.put)
            options.setdefault("retry", None)
            self.streams.put(environ["rocket.events"].open(**options))
            start_response(status, list(fields))
            return body

        return view

    def poll(self, status: str = "200 OK", body: Iterable[bytes] = (), **options: Any) -> View:
        """Return a view that defers its answer."""
        fields = options.pop("fields", [])

        def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/other":
                return plain(environ, start_response)
            options.setdefault("on_close", self.closed.put)
            self.answers.put(environ["rocket.deferred"].hold(**options))
            start_response(status, list(fields))
            return body

        return view


def plain(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    """Answer at once, with the request body."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


def get(path: str = "/", *fields: str, version: str = "1.1", method: str = "GET") -> bytes:
    """A request."""
    lines = [f"{method} {path} HTTP/{version}", "Host: a", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def parked(served: Served) -> int:
    """The number of event streams and deferred answers that hold no thread now."""
    return sum(each.parked for each in pushed(served.server.statistics().shared).values())


def pushed(counts: Mapping[str, T]) -> dict[str, T]:
    """The counts of websockets, event streams and deferred answers alone, by kind."""
    return {kind: count for kind, count in counts.items() if kind != "HTTP/2"}


def wait_for(event: threading.Event) -> None:
    """Wait for an event, which must come."""
    assert event.wait(PATIENCE)


def due(shared: Any) -> float:
    """When something is due for what goes on, on a connection or a stream, unless it moves."""
    deadline: float = shared.due if hasattr(shared, "due") else shared.connection.deadline
    return deadline

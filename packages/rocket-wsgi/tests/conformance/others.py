"""The requests that the parsers h11 and httptools find in the same bytes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import h11
import httptools

_LARGEST_HEAD = 128 * 1024
"""A limit above Rocket's, so that h11's limit never decides the result."""


@dataclass
class Parsed:
    """A request as another parser reads it, with ``fields`` by lower-case names, in order."""

    method: str = ""
    target: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def with_h11(data: bytes) -> list[Parsed]:
    """Return the complete requests that h11 finds up to its first error."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD)
    connection.receive_data(data)
    found: list[Parsed] = []
    current = Parsed()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return found
        if isinstance(event, h11.Request):
            fields = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            current = Parsed(event.method.decode(), event.target.decode("latin-1"), fields)
        elif isinstance(event, h11.Data):
            current.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            found.append(current)
            connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                return found
            connection.start_next_cycle()
        else:
            return found


class _Collector:
    """The callbacks of httptools."""

    def __init__(self) -> None:
        self.found: list[Parsed] = []
        self.current = Parsed()
        self.in_trailers = False
        self.parser: httptools.HttpRequestParser

    def on_message_begin(self) -> None:
        self.current = Parsed()
        self.in_trailers = False

    def on_url(self, data: bytes) -> None:
        self.current.target += data.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_trailers:
            # httptools removes leading white space only.
            text = value.decode("latin-1").rstrip(" \t")
            self.current.fields.append((name.decode("latin-1").lower(), text))

    def on_headers_complete(self) -> None:
        self.in_trailers = True
        self.current.method = self.parser.get_method().decode()

    def on_body(self, data: bytes) -> None:
        self.current.body += data

    def on_message_complete(self) -> None:
        self.found.append(self.current)


def with_httptools(data: bytes) -> list[Parsed]:
    """Return the complete requests that httptools finds up to its first error."""
    collector = _Collector()
    parser = collector.parser = httptools.HttpRequestParser(collector)
    with suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        parser.feed_data(data)
    return collector.found

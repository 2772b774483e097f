"""What reading a request head costs: Rocket beside h11 and httptools, in one run.

Needs rocket-wsgi, h11 and httptools installed: `python bench/parser.py [ROUNDS]`. Rounds are
interleaved, so that whatever else the machine does falls on all of them; the figures are medians of
processor time. Rocket's includes the environ, which the others leave to be made, and every head is
read anew: a server remembers the fields that a client repeats, this program gives it nothing to
remember them in.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import h11
import httptools

from rocket_wsgi._http1.http1_request import HTTP1Request

HEAD = b"\r\n".join(
    [
        b"GET /shop/items?page=2&order=price HTTP/1.1",
        b"Host: www.example.org",
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        b"Accept-Language: en-US,en;q=0.5",
        b"Accept-Encoding: gzip, deflate, br",
        b"Connection: keep-alive",
        b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
        b"Upgrade-Insecure-Requests: 1",
    ]
)
TEMPLATE = {f"wsgi.key_{number}": number for number in range(12)}
CALLS = 500


class Collector:
    """What httptools calls."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""
        self.fields.append((name, value))


def with_rocket() -> None:
    """The head of a request, and its environ."""
    HTTP1Request(HEAD, TEMPLATE)


def with_httptools() -> None:
    """The same head, its fields in a list."""
    httptools.HttpRequestParser(Collector()).feed_data(HEAD + b"\r\n\r\n")


def with_h11() -> None:
    """The same head, as an event."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(HEAD + b"\r\n\r\n")
    connection.next_event()


def measure(read: Callable[[], None]) -> float:
    """Microseconds of processor time for one call."""
    began = time.process_time()
    for _ in range(CALLS):
        read()
    return (time.process_time() - began) / CALLS * 1e6


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    readers = {"rocket": with_rocket, "httptools": with_httptools, "h11": with_h11}
    figures: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            figures[name].append(measure(read))
    for name, found in figures.items():
        print(f"{name:10} {statistics.median(found):6.2f} us, least {min(found):6.2f}")


if __name__ == "__main__":
    main()

"""What clients send in order to keep a server busy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from raw.case import (
    GET,
    block,
    data,
    headers,
    number,
    ping,
    post,
    reset,
    settings,
    update,
)

from rocket_wsgi._http2.frames import PRIORITY, PRIORITY_UPDATE, frame

if TYPE_CHECKING:
    from collections.abc import Callable

MADE: Final[dict[str, Callable[[int], bytes]]] = {
    "credit of 0": lambda stream: headers(stream) + update(0, stream),
    "too much credit": lambda stream: headers(stream) + update(0x7FFFFFFF, stream),
    "DATA behind the end": lambda stream: headers(stream) + data(b"x", stream),
    "PRIORITY of a wrong size": lambda stream: headers(stream) + frame(PRIORITY, 0, stream, b"x"),
    "a body longer than its length": lambda stream: (
        post(stream, ("content-length", "1")) + data(b"xy", stream)
    ),
    "HEADERS behind the end": lambda stream: headers(stream) + headers(stream),
    "malformed heads": lambda stream: headers(stream, block(("A", "b"))),
    "heads that are refused": lambda stream: headers(stream, GET + block(*[("a", "b")] * 101)),
}
"""Frames that have the server reset a stream, by its number (CVE-2025-8671, MadeYouReset)."""

FLOODS: Final = {
    "PING": ping(),  # CVE-2019-9512
    "answers to PING": ping(flags=1),
    "SETTINGS": settings(),  # CVE-2019-9515
    "acknowledgements of SETTINGS": settings(flags=1),
    "PRIORITY": frame(PRIORITY, 0, 7, b"\0\0\0\3\0"),  # CVE-2019-9513
    "PRIORITY_UPDATE": frame(PRIORITY_UPDATE, 0, 0, number(9) + b"u=1"),
    "unknown types": frame(0x77, 0, 0, b""),
    "credit for the connection": update(1),
    "credit for a stream": update(1, 1),
    "credit for an ended stream": update(1, 3),
    "empty DATA": data(b"", 1),  # CVE-2019-9518
    "nothing but padding": data(b"", 1, padding=10),
    "resets of an ended stream": reset(3),
}
"""Frames that move nothing, of a client that has begun stream 1 and ended stream 3."""

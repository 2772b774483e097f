"""The format of event streams (HTML standard, "Server-sent events")."""

from __future__ import annotations

import math
import re
from typing import Final

KEEP_ALIVE: Final = b":\n\n"
"""A comment, which clients ignore. It shows that the stream still exists."""

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_FORBIDDEN: Final = re.compile(r"[\r\n\0]")


def encode_event(data: str, event: str | None = None, identity: str | None = None) -> bytes:
    """Return an event whose type and ID were checked. Each line of ``data`` is a line of its own.

    Only CR LF, CR and LF end a line for clients, unlike for `str.splitlines`.
    """
    lines: list[str] = []
    if event is not None:
        lines.append(f"event: {event}\n")
    if identity is not None:
        lines.append(f"id: {identity}\n")
    lines += [f"data: {line}\n" for line in _LINE_END.split(data)]
    lines.append("\n")
    return "".join(lines).encode()


def encode_comment(text: str) -> bytes:
    """Return a comment, each line of ``text`` as a line of its own."""
    lines = [f": {line}\n" for line in _LINE_END.split(text)]
    lines.append("\n")
    return "".join(lines).encode()


def encode_retry(seconds: float) -> bytes:
    """Return the line that tells clients when to come back; ValueError for no such time."""
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"retry is {seconds!r}: give a number of seconds from 0")
    return f"retry: {round(seconds * 1000)}\n\n".encode()


def check_data(data: str | bytes) -> str:
    """Return the data of an event; TypeError unless it is text."""
    if not isinstance(data, str):
        raise TypeError(f"the data of an event is str, not {type(data).__name__}")
    return data


def check_event(event: str | None) -> str | None:
    """Return an event's type; ValueError if it does not fit into a line."""
    if event is not None and _FORBIDDEN.search(event):
        raise ValueError("the type of an event must not contain CR, LF or NUL")
    return event


def check_id(identity: str | int | None) -> str | None:
    """Return an event's ID as text; ValueError unless it fits into a line and is ASCII.

    Clients send it back in the field ``Last-Event-ID``, hence in ASCII.
    """
    if identity is None:
        return None
    text = str(identity)
    if _FORBIDDEN.search(text) or not text.isascii():
        raise ValueError("the ID of an event must be ASCII without CR, LF and NUL")
    return text

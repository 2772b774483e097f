"""One case: the frames of a client, and what the session makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hpacksupport import integer, string

from rocket_wsgi._http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)

HELLO = PREFACE + frame(SETTINGS, 0, 0, b"")
"""What a client sends before anything else. Its acknowledgement is not in the results."""

GET = b"\x82\x87\x84\x01\x01h"
"""The field block of a GET request of https://h/."""

POST = b"\x83\x87\x84\x01\x01h"

OK = "200"
"""The status of the answer to what is served."""


@dataclass(frozen=True)
class Case:
    """The frames of a client after its preface, and their result.

    Attributes:
        name: the name of the case.
        source: the section of the RFC, or the CVE, that the case is based on.
        sent: the frames, in parts. After each part, the application answers the requests that are
            complete, and the client takes all that it can.
        result: the lines of the transcript: events, and the frames that are sent back.
        hello: whether the preface precedes the first part.
        answers: after which parts the application answers.
    """

    name: str
    source: str
    sent: tuple[bytes, ...] = field(repr=False)
    result: tuple[str, ...]
    hello: bool = True
    answers: bool = True


def case(name: str, source: str, sent: bytes | tuple[bytes, ...], *result: str) -> Case:
    """Return a case in which complete requests are answered."""
    return Case(name, source, (sent,) if isinstance(sent, bytes) else sent, result)


def silent(name: str, source: str, sent: bytes | tuple[bytes, ...], *result: str) -> Case:
    """Return a case in which the application has not answered yet."""
    parts = (sent,) if isinstance(sent, bytes) else sent
    return Case(name, source, parts, result, answers=False)


def raw(name: str, source: str, sent: bytes, *result: str) -> Case:
    """Return a case in which the preface is a part of the bytes."""
    return Case(name, source, (sent,), result, hello=False)


def fails(name: str, source: str, sent: bytes, code: str, *before: str, last: int = 0) -> Case:
    """Return a case that ends with an error of the connection."""
    return silent(name, source, sent, *before, f"0 GOAWAY {last} {code}")


def resets(name: str, source: str, sent: bytes, code: str, *before: str, stream: int = 1) -> Case:
    """Return a case that ends with an error of a stream."""
    return silent(name, source, sent, *before, f"{stream} RST_STREAM {code}")


def block(*fields: tuple[str, str]) -> bytes:
    """Return a field block of literals."""
    return b"".join(
        b"\x00" + string(name.encode("latin-1")) + string(value.encode("latin-1"))
        for name, value in fields
    )


def headers(
    stream: int = 1, content: bytes = GET, *, end: bool = True, flags: int = END_HEADERS
) -> bytes:
    """Return a HEADERS frame."""
    return frame(HEADERS, flags | (END_STREAM if end else 0), stream, content)


def continuation(stream: int, content: bytes, *, end: bool = True) -> bytes:
    return frame(CONTINUATION, END_HEADERS if end else 0, stream, content)


def post(stream: int = 1, *fields: tuple[str, str]) -> bytes:
    """Return the head of a request with a body."""
    return headers(stream, POST + block(*fields), end=False)


def data(
    content: bytes, stream: int = 1, *, end: bool = False, padding: int | None = None
) -> bytes:
    """Return a DATA frame."""
    flags = END_STREAM if end else 0
    if padding is not None:
        flags |= PADDED
        content = bytes([padding]) + content + b"\0" * padding
    return frame(DATA, flags, stream, content)


def settings(*values: tuple[int, int], flags: int = 0, stream: int = 0) -> bytes:
    payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in values)
    return frame(SETTINGS, flags, stream, payload)


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def update(increment: int, stream: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, number(increment))


def reset(stream: int = 1, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, number(code))


def ping(payload: bytes = b"12345678", *, flags: int = 0, stream: int = 0) -> bytes:
    return frame(PING, flags, stream, payload)


def seen(
    stream: int = 1, method: str = "GET", path: str = "/", *fields: str, end: bool = True
) -> str:
    """Return the line for a request that reaches the application."""
    words = [f"{stream} request {method} https://h{path}", *fields]
    return " ".join(words) + (" end" if end else "")


def answered(stream: int = 1, status: str = OK) -> tuple[str, ...]:
    """Return the lines for an answer."""
    return (f"{stream} HEADERS {status}", f"{stream} DATA 2 end")


__all__ = ["integer"]

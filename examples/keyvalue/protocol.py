"""The protocol of Redis, versions 2 and 3 (RESP2 and RESP3): lengths and answers."""

from __future__ import annotations

import re

from commands import Answer

MAX_LINE = 64 * 1024
MAX_SIZE = 64 * 1024 * 1024
CRLF = b"\r\n"


class ProtocolError(Exception):
    """The client violates the protocol, so the rest of its data has no defined meaning."""


def length(line: bytes, kind: bytes, limit: int) -> int:
    """Parse the length of an array or a string."""
    if not re.fullmatch(re.escape(kind) + rb"[0-9]{1,9}", line) or int(line[1:]) > limit:
        raise ProtocolError(f"expected {kind.decode()} and a length up to {limit}")
    return int(line[1:])


def version_after(answer: Answer, version: int) -> int:
    """Return the protocol version of ``answer`` and of later answers: HELLO may change it."""
    return int(answer[b"proto"]) if isinstance(answer, dict) else version


def encode_push(items: list[bytes | int | None], version: int) -> bytes:
    """Encode what a subscriber gets unasked; version 3 has a type of its own for it."""
    start = b"*%d\r\n" if version == 2 else b">%d\r\n"
    return start % len(items) + b"".join(encode(each, version) for each in items)


def encode(answer: Answer, version: int) -> bytes:
    """Encode an answer in version 2 or 3 of the protocol."""
    match answer:
        case bytes():
            data = b"$%d\r\n%b" % (len(answer), answer)
        case int():
            data = b":%d" % answer
        case str():
            data = b"+%b" % answer.encode()
        case None:
            data = b"$-1" if version == 2 else b"_"
        case list():
            return b"*%d\r\n" % len(answer) + b"".join(encode(each, version) for each in answer)
        case dict():
            items = b"".join(encode(k, version) + encode(v, version) for k, v in answer.items())
            start = b"*%d\r\n" % (2 * len(answer)) if version == 2 else b"%%%d\r\n" % len(answer)
            return start + items
        case _:
            data = b"-ERR %b" % str(answer).encode()
    return data + CRLF

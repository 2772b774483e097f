"""Byte ranges (RFC 9110, section 14)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple

MAX_RANGES: Final = 16
"""Ranges of one request; a request for more gets the whole."""

# Nineteen digits count more bytes than any file has.
_SPEC: Final = re.compile(r"[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*\Z")


class ByteRange(NamedTuple):
    """Part of a representation: ``length`` bytes from ``offset`` on."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        """The value of ``Content-Range`` for this part of ``size`` bytes (section 14.4)."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def parse_ranges(value: str, size: int) -> list[ByteRange] | None:
    """The ranges that a ``Range`` field asks of ``size`` bytes, those that exist, in its order.

    Empty when none exists, which is answered 416. None when the field is to be ignored: another
    unit, malformed, more than `MAX_RANGES` ranges, or ranges that overlap, of which a few bytes of
    request would make many of response (section 14.2 allows that).
    """
    unit, equals, text = value.partition("=")
    if not equals or unit.lower() != "bytes" or text.count(",") >= MAX_RANGES:
        return None
    found: list[ByteRange] = []
    for spec in text.split(","):
        match = _SPEC.match(spec)
        if match is None:
            return None
        first, last = match.groups()
        if not first and not last:
            return None
        if first and last and int(first) > int(last):
            return None
        each = _resolve(first, last, size)
        if each.length > 0:
            found.append(each)
    return None if _overlap(found) else found


def _resolve(first: str, last: str, size: int) -> ByteRange:
    """What one range is in ``size`` bytes; its length is not positive where there is nothing."""
    if not first:
        length = min(int(last), size)
        return ByteRange(size - length, length)
    offset = int(first)
    end = min(int(last) + 1, size) if last else size
    return ByteRange(offset, end - offset)


def _overlap(ranges: list[ByteRange]) -> bool:
    ordered = sorted(ranges)
    return any(before.offset + before.length > after.offset for before, after in pairwise(ordered))

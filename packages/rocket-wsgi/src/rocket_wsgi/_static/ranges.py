"""Byte ranges (RFC 9110, section 14)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple

MAX_RANGES: Final = 16
"""The maximum number of ranges of one request. A request for more gets the whole file."""

# A number of nineteen digits is larger than the size of any file.
_SPEC: Final = re.compile(r"[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*\Z")


class ByteRange(NamedTuple):
    """A part of a representation: ``length`` bytes from ``offset`` on."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        """Return the value of ``Content-Range`` for this part of ``size`` bytes (section 14.4)."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def parse_ranges(value: str, size: int) -> list[ByteRange] | None:
    """Return the satisfiable ranges of a ``Range`` field for ``size`` bytes, in its order.

    The list is empty if no range is satisfiable, which is answered 416. None says that the field is
    to be ignored (section 14.2): it has another unit than bytes, is malformed, has more than
    `MAX_RANGES` ranges, or has ranges that overlap. With the latter two, a small request could
    cause a very large response.
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
    """Resolve one range in ``size`` bytes. Its length is not positive if it is unsatisfiable."""
    if not first:
        length = min(int(last), size)
        return ByteRange(size - length, length)
    offset = int(first)
    end = min(int(last) + 1, size) if last else size
    return ByteRange(offset, end - offset)


def _overlap(ranges: list[ByteRange]) -> bool:
    ordered = sorted(ranges)
    return any(before.offset + before.length > after.offset for before, after in pairwise(ordered))

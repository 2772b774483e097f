"""The store: values by key, each with the time at which it ceases to exist."""

from __future__ import annotations

import re
import threading
import time
from math import inf
from typing import Final

_INTEGER: Final = re.compile(rb"(0|-?[1-9][0-9]{0,18})\Z")
_LIMIT: Final = 1 << 63
_PIECE: Final = re.compile(rb"\\(.)|\[(\^?)((?:\\.|[^\]])*)\]|(\?)|(.)", re.DOTALL)


def parse_integer(text: bytes) -> int:
    """Read a signed integer of 64 bits. Raises `ValueError`."""
    if _INTEGER.match(text) and -_LIMIT <= int(text) < _LIMIT:
        return int(text)
    raise ValueError("value is not an integer or out of range")


class Store:
    """Shared by all threads: ``_lock`` guards ``_entries``, and each method holds it throughout."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[bytes, tuple[bytes, float]] = {}

    def _find(self, key: bytes) -> tuple[bytes, float] | None:
        """With the lock: the value and when it expires. What has expired is removed."""
        entry = self._entries.get(key)
        if entry is not None and entry[1] <= time.monotonic():
            del self._entries[key]
            return None
        return entry

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            entry = self._find(key)
            return None if entry is None else entry[0]

    def set(self, key: bytes, value: bytes, seconds: float = inf) -> None:
        with self._lock:
            self._entries[key] = (value, time.monotonic() + seconds)

    def delete(self, keys: list[bytes]) -> int:
        """Delete the keys; how many of them there were."""
        with self._lock:
            return sum(self._find(key) is not None and bool(self._entries.pop(key)) for key in keys)

    def increment(self, key: bytes, by: int) -> int:
        """Add to a value, 0 where there is none. Raises `ValueError`."""
        with self._lock:
            value, until = self._find(key) or (b"0", inf)
            number = parse_integer(value) + by
            if not -_LIMIT <= number < _LIMIT:
                raise ValueError("increment or decrement would overflow")
            self._entries[key] = (b"%d" % number, until)
            return number

    def expire(self, key: bytes, seconds: float) -> bool:
        """Have a value end after ``seconds``; whether there is one."""
        with self._lock:
            entry = self._find(key)
            if entry is None:
                return False
            self._entries[key] = (entry[0], time.monotonic() + seconds)
            return True

    def remaining(self, key: bytes) -> float | None:
        """Seconds until a value ends, None where there is no value."""
        with self._lock:
            entry = self._find(key)
            return None if entry is None else entry[1] - time.monotonic()

    def keys(self, pattern: bytes) -> list[bytes]:
        """The keys that match a pattern."""
        expression = glob_expression(pattern)
        with self._lock:
            found = [key for key in list(self._entries) if self._find(key) is not None]
        return [key for key in found if expression.match(key)]


def glob_expression(pattern: bytes) -> re.Pattern[bytes]:
    r"""The regular expression for a pattern of ``*``, ``?``, ``[a-z]``, ``[^a-z]`` and ``\x``."""
    runs: list[bytes] = [b""]
    for match in _PIECE.finditer(pattern):
        escaped, negated, members, one, other = match.groups()
        if other == b"*":
            runs.append(b"")
        elif members is not None:
            runs[-1] += _class_expression(negated, members)
        else:
            runs[-1] += b"." if one else re.escape(escaped or other)
    first, *rest = runs
    if not rest:
        return re.compile(first + rb"\Z", re.DOTALL)
    # Atomic groups: what a star has matched is not tried again, so that no pattern takes for ever.
    middle = b"".join(b"(?>.*?%b)" % run for run in rest[:-1] if run)
    return re.compile(b"%b%b.*%b\\Z" % (first, middle, rest[-1]), re.DOTALL)


def _class_expression(negated: bytes, members: bytes) -> bytes:
    ranges = re.findall(rb"(\\?.)(?:-(\\?.))?", members, re.DOTALL)
    if not ranges:
        return b"." if negated else b"(?!)"
    parts = []
    for low, high in ranges:
        ends = sorted([low[-1:], (high or low)[-1:]])
        parts.append(b"%b-%b" % (re.escape(ends[0]), re.escape(ends[1])))
    return b"[%b%b]" % (negated, b"".join(parts))

"""The commands and the data store, independent of the protocol and the connection."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from fnmatch import translate
from functools import partial
from math import inf

MAX_ARGUMENTS = 1024

Answer = bytes | int | str | None | Exception | list[bytes] | dict[bytes, bytes | int]


class Store:
    """Values and their expiry times. ``_lock`` guards both dictionaries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[bytes, bytes] = {}
        self._expiry: dict[bytes, float] = {}

    def _get(self, key: bytes) -> bytes | None:
        if self._expiry.get(key, inf) <= time.monotonic():
            del self._values[key], self._expiry[key]
        return self._values.get(key)

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._get(key)

    def set(self, key: bytes, value: bytes, seconds: float = inf) -> None:
        with self._lock:
            self._values[key] = value
            self._expiry[key] = time.monotonic() + seconds

    def delete(self, *keys: bytes) -> int:
        with self._lock:
            found = [key for key in dict.fromkeys(keys) if self._get(key) is not None]
            for key in found:
                del self._values[key], self._expiry[key]
            return len(found)

    def add(self, key: bytes, amount: int) -> int:
        with self._lock:
            value = self._get(key)
            total = number(b"0" if value is None else value) + amount
            self._values[key] = b"%d" % total
            self._expiry.setdefault(key, inf)
            return total

    def expire(self, key: bytes, seconds: int) -> int:
        with self._lock:
            if self._get(key) is None:
                return 0
            self._expiry[key] = time.monotonic() + seconds
            return 1

    def ttl(self, key: bytes) -> int:
        with self._lock:
            if self._get(key) is None:
                return -2
            left = self._expiry[key] - time.monotonic()
            return -1 if left == inf else round(left)

    def keys(self, pattern: bytes) -> list[bytes]:
        matches = re.compile(translate(pattern.decode("latin-1")).encode("latin-1")).match
        with self._lock:
            return [
                key for key in list(self._values) if matches(key) and self._get(key) is not None
            ]


class Commands:
    """The commands of a server, by name."""

    def __init__(self, store: Store) -> None:
        # The function, and the minimum and maximum number of words after the name.
        self._commands: dict[bytes, tuple[Callable[..., Answer], int, int]] = {
            b"PING": (lambda word="PONG": word, 0, 1),
            b"ECHO": (lambda word: word, 1, 1),
            b"HELLO": (hello, 1, 1),
            b"GET": (store.get, 1, 1),
            b"SET": (partial(set_command, store), 2, 4),
            b"DEL": (store.delete, 1, MAX_ARGUMENTS),
            b"INCR": (lambda key: store.add(key, 1), 1, 1),
            b"INCRBY": (lambda key, amount: store.add(key, number(amount)), 2, 2),
            b"EXPIRE": (lambda key, seconds: store.expire(key, number(seconds)), 2, 2),
            b"TTL": (store.ttl, 1, 1),
            b"KEYS": (store.keys, 1, 1),
        }

    def answer(self, words: list[bytes]) -> Answer:
        """Execute a command, which has at least one word."""
        name = words[0].upper()
        function, minimum, maximum = self._commands.get(name, (None, 0, 0))
        if function is None:
            return ValueError(f"unknown command {name[:64].decode('latin-1')!r}")
        if not minimum < len(words) <= maximum + 1:
            return ValueError(f"wrong number of arguments for {name.decode()!r}")
        try:
            return function(*words[1:])
        except ValueError as error:
            return error


def hello(version: bytes) -> Answer:
    if version not in (b"2", b"3"):
        raise ValueError("unsupported protocol version")
    return {b"server": b"keyvalue", b"proto": int(version)}


def set_command(store: Store, key: bytes, value: bytes, *options: bytes) -> str:
    seconds = inf
    if options:
        if len(options) != 2 or options[0].upper() != b"EX":
            raise ValueError("syntax error")
        seconds = number(options[1])
        if seconds <= 0:
            raise ValueError("invalid expire time")
    store.set(key, value, seconds)
    return "OK"


def number(word: bytes) -> int:
    """Parse a signed integer of 64 bits."""
    if re.fullmatch(rb"-?[0-9]{1,19}", word) and -(1 << 63) <= int(word) < 1 << 63:
        return int(word)
    raise ValueError("value is not an integer or out of range")

"""A key-value server that Redis clients can talk to, on rocket-core alone.

python server.py [HOST:PORT]
"""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from fnmatch import translate
from functools import partial
from math import inf

from rocket_core import (
    AddressError,
    BindError,
    Connection,
    Listener,
    Server,
    State,
    Timeouts,
    Worker,
)

RECEIVE_SIZE = 64 * 1024
MAX_BATCH = 128
MAX_ARGUMENTS = 1024
MAX_LINE = 64 * 1024
MAX_SIZE = 64 * 1024 * 1024
CRLF = b"\r\n"


class ProtocolError(Exception):
    """What follows cannot be understood."""


Answer = bytes | int | str | None | Exception | list[bytes] | dict[bytes, bytes | int]


class Store:
    """Values and when they expire. ``_lock`` guards both dictionaries."""

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


class Reader:
    """The command a client is sending, an array of strings or a line, as far as it has arrived."""

    def __init__(self) -> None:
        self.version = 2
        self.commands: list[list[bytes]] = []
        self.error: ProtocolError | None = None
        self.words: list[bytes] = []
        self.missing = 0
        self._size = -1

    def read(self, connection: Connection) -> list[bytes] | None:
        """Take the next command; None when it has not arrived whole."""
        while True:
            if self._size >= 0:
                if not self._take_string(connection):
                    return None
                if not self.missing:
                    words, self.words = self.words, []
                    return words
            elif (line := connection.take_through(CRLF)) is None:
                if connection.buffered > MAX_LINE:
                    raise ProtocolError("a line is too long")
                return None
            elif self.missing:
                self._size = length(line, b"$", MAX_SIZE - sum(map(len, self.words)))
            elif line.startswith(b"*"):
                self.missing = length(line, b"*", MAX_ARGUMENTS)
            elif words := line.split():
                return words

    def _take_string(self, connection: Connection) -> bool:
        if connection.buffered < self._size + 2:
            return False
        self.words.append(connection.take(self._size))
        if connection.take(2) != CRLF:
            raise ProtocolError("a string is longer than it says")
        self._size = -1
        self.missing -= 1
        return True


class KeyValueWorker(Worker):
    """Serves commands. `receive` waits for a whole one, so that no slow client holds a thread."""

    def __init__(self, store: Store) -> None:
        # By name: what answers, and the least and the largest number of words after the name.
        self.commands: dict[bytes, tuple[Callable[..., Answer], int, int]] = {
            b"PING": (lambda word="PONG": word, 0, 1),
            b"ECHO": (lambda word: word, 1, 1),
            b"GET": (store.get, 1, 1),
            b"SET": (partial(set_command, store), 2, 4),
            b"DEL": (store.delete, 1, MAX_ARGUMENTS),
            b"INCR": (lambda key: store.add(key, 1), 1, 1),
            b"INCRBY": (lambda key, amount: store.add(key, number(amount)), 2, 2),
            b"EXPIRE": (lambda key, seconds: store.expire(key, number(seconds)), 2, 2),
            b"TTL": (store.ttl, 1, 1),
            b"KEYS": (store.keys, 1, 1),
        }

    def receive(self, connection: Connection) -> State:
        if connection.context is None:
            connection.context = Reader()
        if connection.state is not State.ACTIVE:
            count = connection.fill(RECEIVE_SIZE)
            if not count:
                return connection.state if count is None else State.CLOSED
        return self.read(connection, connection.context)

    def read(self, connection: Connection, reader: Reader) -> State:
        """Take the commands that have arrived, as many as one answer should have."""
        try:
            while len(reader.commands) < MAX_BATCH and (words := reader.read(connection)):
                reader.commands.append(words)
        except ProtocolError as error:
            reader.error = error
        if reader.commands or reader.error:
            return State.READY
        return State.HEAD if reader.missing or connection.buffered else State.IDLE

    def serve(self, connection: Connection) -> State:
        reader: Reader = connection.context
        answers = [encode(self.answer(words, reader), reader.version) for words in reader.commands]
        reader.commands.clear()
        if reader.error:
            connection.write(b"".join(answers) + encode(reader.error, reader.version))
            return State.LINGER
        connection.write(b"".join(answers))
        return State.HEAD if reader.missing else State.IDLE

    def answer(self, words: list[bytes], reader: Reader) -> Answer:
        name = words[0].upper()
        if name == b"HELLO" and words[1:] in ([b"2"], [b"3"]):
            reader.version = int(words[1])
            return {b"server": b"keyvalue", b"proto": reader.version}
        function, least, largest = self.commands.get(name, (None, 0, 0))
        if function is None:
            return ValueError(f"unknown command {name[:64].decode('latin-1')!r}")
        if not least < len(words) <= largest + 1:
            return ValueError(f"wrong number of arguments for {name.decode()!r}")
        try:
            return function(*words[1:])
        except ValueError as error:
            return error


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
    """An integer of 64 bits."""
    if re.fullmatch(rb"-?[0-9]{1,19}", word) and -(1 << 63) <= int(word) < 1 << 63:
        return int(word)
    raise ValueError("value is not an integer or out of range")


def length(line: bytes, kind: bytes, limit: int) -> int:
    """The length of an array or a string."""
    if not re.fullmatch(re.escape(kind) + rb"[0-9]{1,9}", line) or int(line[1:]) > limit:
        raise ProtocolError(f"expected {kind.decode()} and a length up to {limit}")
    return int(line[1:])


def encode(answer: Answer, version: int) -> bytes:
    """An answer as the protocol, in version 2 or 3, has it."""
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


def main() -> None:
    store = Store()
    try:
        listener = Listener(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:6379")
        # Clients of this protocol keep their connections for as long as they live.
        timeouts = Timeouts(keep_alive=inf)
        server = Server(lambda: KeyValueWorker(store), [listener], timeouts=timeouts)
        for signal_ in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_, lambda *_: server.drain(10))
        server.start()
    except (AddressError, BindError) as error:
        sys.exit(str(error))
    print(f"Listening on {listener.address}", flush=True)  # noqa: T201 - for whoever started it
    server.wait()


if __name__ == "__main__":
    main()

"""A key-value server that Redis clients can talk to, on rocket-core alone.

python server.py [HOST:PORT]
"""

from __future__ import annotations

import signal
import sys
from math import inf
from typing import TYPE_CHECKING, Final

from resp import OK, Client, array, bulk, error, integer
from rocket_core import AddressError, BindError, Listener, Server, State, Timeouts, Worker
from store import Store, parse_integer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from rocket_core import Connection

_WRITE_SIZE: Final = 64 * 1024
_DRAIN_SECONDS: Final = 10.0
_LONGEST_EXPIRY: Final = 1 << 40


class KeyValueWorker(Worker):
    """Serves commands. `receive` takes whole commands only, so no slow client holds a thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By name: what answers, and the least and the largest number of arguments after the name.
        self._commands: dict[bytes, tuple[Callable[[list[bytes], Client], bytes], int, float]] = {
            b"PING": (lambda words, _: bulk(words[0]) if words else b"+PONG\r\n", 0, 1),
            b"ECHO": (lambda words, _: bulk(words[0]), 1, 1),
            b"GET": (self._get, 1, 1),
            b"SET": (self._set, 2, inf),
            b"DEL": (lambda words, _: integer(store.delete(words)), 1, inf),
            b"INCR": (lambda words, _: integer(store.increment(words[0], 1)), 1, 1),
            b"INCRBY": (self._increment_by, 2, 2),
            b"EXPIRE": (self._expire, 2, 2),
            b"TTL": (self._ttl, 1, 1),
            b"KEYS": (lambda words, _: array([bulk(key) for key in store.keys(words[0])]), 1, 1),
            b"CLIENT": (self._client, 1, inf),
            b"COMMAND": (lambda *_: array([]), 0, inf),
            b"CONFIG": (self._config, 1, inf),
            b"HELLO": (self._hello, 0, inf),
        }

    def receive(self, connection: Connection) -> State:
        client = connection.context
        if client is None:
            connection.context = client = Client()
        while True:
            client.read(connection)
            if client.whole or client.error:
                return State.READY
            count = connection.fill()
            if count is None:
                return self._waiting(connection)
            if count == 0:
                return State.CLOSED

    def _waiting(self, connection: Connection) -> State:
        partial = connection.context.partial or connection.buffered
        return State.HEAD if partial else State.IDLE

    def serve(self, connection: Connection) -> State:
        client: Client = connection.context
        commands, client.whole = client.whole, []
        answers: list[bytes] = []
        size = 0
        for words in commands:
            answer = self._answer(words, client)
            answers.append(answer)
            size += len(answer)
            if size > _WRITE_SIZE:
                connection.write(b"".join(answers))
                answers.clear()
                size = 0
        if client.error:
            answers.append(error(f"ERR Protocol error: {client.error}"))
        connection.write(b"".join(answers))
        return State.LINGER if client.error else self._waiting(connection)

    def _answer(self, words: list[bytes], client: Client) -> bytes:
        if not words:
            return b""
        name, *arguments = words
        command = self._commands.get(name.upper())
        if command is None:
            return error(f"ERR unknown command '{name[:64].decode('latin-1')}'")
        function, least, largest = command
        if not least <= len(arguments) <= largest:
            return _wrong_number(name.decode("latin-1"))
        try:
            return function(arguments, client)
        except ValueError as problem:
            return error(f"ERR {problem}")

    # -- commands that are more than a line ----------------------------------------------------

    def _get(self, words: list[bytes], client: Client) -> bytes:
        value = self._store.get(words[0])
        return client.null if value is None else bulk(value)

    def _set(self, words: list[bytes], _: Client) -> bytes:
        seconds = inf
        if len(words) > 2:
            unit = {b"EX": 1, b"PX": 1000}.get(words[2].upper())
            if unit is None or len(words) != 4:
                raise ValueError("syntax error")
            seconds = parse_integer(words[3]) / unit
            if not 0 < seconds < _LONGEST_EXPIRY:
                raise ValueError("invalid expire time in 'set' command")
        self._store.set(words[0], words[1], seconds)
        return OK

    def _increment_by(self, words: list[bytes], _: Client) -> bytes:
        return integer(self._store.increment(words[0], parse_integer(words[1])))

    def _expire(self, words: list[bytes], _: Client) -> bytes:
        seconds = parse_integer(words[1])
        if seconds >= _LONGEST_EXPIRY:
            raise ValueError("invalid expire time in 'expire' command")
        return integer(self._store.expire(words[0], seconds))

    def _ttl(self, words: list[bytes], _: Client) -> bytes:
        seconds = self._store.remaining(words[0])
        if seconds is None:
            return integer(-2)
        return integer(-1 if seconds == inf else round(seconds))

    # -- what client libraries ask when they connect -------------------------------------------

    def _client(self, words: list[bytes], _: Client) -> bytes:
        if words[0].upper() in (b"SETINFO", b"SETNAME"):
            return OK
        raise ValueError(f"unknown subcommand '{words[0][:64].decode('latin-1')}'")

    def _config(self, words: list[bytes], client: Client) -> bytes:
        if words[0].upper() == b"GET" and len(words) == 2:
            return client.map({words[1]: bulk(b"")})
        raise ValueError("nothing can be configured")

    def _hello(self, words: list[bytes], client: Client) -> bytes:
        if words:
            if words[0] not in (b"2", b"3"):
                return error("NOPROTO unsupported protocol version")
            client.version = int(words[0])
        return client.map({b"server": bulk(b"keyvalue"), b"proto": integer(client.version)})


def _wrong_number(name: str) -> bytes:
    return error(f"ERR wrong number of arguments for '{name.lower()}' command")


def main() -> None:
    store = Store()
    try:
        listener = Listener(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:6379")
        # Clients of this protocol keep their connections for as long as they live.
        server = Server(
            lambda: KeyValueWorker(store), [listener], timeouts=Timeouts(keep_alive=inf)
        )

        def drain(_number: int, _frame: FrameType | None) -> None:
            server.drain(_DRAIN_SECONDS)

        signal.signal(signal.SIGTERM, drain)
        signal.signal(signal.SIGINT, drain)
        server.start()
    except (AddressError, BindError) as problem:
        sys.exit(str(problem))
    print(f"Listening on {listener.address}", flush=True)  # noqa: T201 - for whoever started it
    server.wait()


if __name__ == "__main__":
    main()

"""A key-value server that Redis clients can talk to, in the style that never waits.

python server.py [HOST:PORT]
"""

from __future__ import annotations

from channels import Channels, Subscriber
from commands import MAX_ARGUMENTS, Commands, Store
from listening import run
from protocol import CRLF, MAX_LINE, MAX_SIZE, ProtocolError, encode, length, version_after
from rocket_core import Connection, State, Worker

RECEIVE_SIZE = 64 * 1024
MAX_BATCH = 128


class Reader:
    """The part of a command (an array of strings, or a line) that has arrived so far."""

    def __init__(self) -> None:
        self.version = 2
        self.subscriber: Subscriber | None = None
        self.commands: list[list[bytes]] = []
        self.error: ProtocolError | None = None
        self.missing = 0
        self._words: list[bytes] = []
        self._left = MAX_SIZE
        self._size = -1

    def read(self, connection: Connection) -> list[bytes] | None:
        """Take the next command; None if it has not arrived completely."""
        while True:
            if self._size >= 0:
                if not self._take_string(connection):
                    return None
                if not self.missing:
                    words, self._words, self._left = self._words, [], MAX_SIZE
                    return words
            elif (line := connection.take_through(CRLF)) is None:
                if connection.buffered > MAX_LINE:
                    raise ProtocolError("a line is too long")
                return None
            elif self.missing:
                self._size = length(line, b"$", self._left)
            elif line.startswith(b"*"):
                self.missing = length(line, b"*", MAX_ARGUMENTS)
            elif words := line.split():
                return words

    def _take_string(self, connection: Connection) -> bool:
        if connection.buffered < self._size + 2:
            return False
        self._words.append(connection.take(self._size))
        if connection.take(2) != CRLF:
            raise ProtocolError("a string is longer than its length")
        self._left -= self._size
        self._size = -1
        self.missing -= 1
        return True


class KeyValueWorker(Worker):
    """Serves complete commands only, so that no slow client occupies a thread.

    The connection of a subscriber is shared from its first subscription on: other threads push
    messages, and its commands, none of which takes long, are executed by `receive`.
    """

    def __init__(self, commands: Commands, channels: Channels) -> None:
        self.commands = commands
        self.channels = channels

    def receive(self, connection: Connection) -> State:
        if connection.state is State.SHARED:
            return self.receive_shared(connection, connection.context)
        if connection.context is None:
            connection.context = Reader()
        if connection.state is not State.IDLE or not connection.buffered:
            count = connection.fill(RECEIVE_SIZE)
            if not count:
                return connection.state if count is None else State.CLOSED
        return self.read(connection, connection.context)

    def read(self, connection: Connection, reader: Reader) -> State:
        """Take the commands that have arrived, up to the maximum for one write of answers."""
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
        commands, reader.commands = reader.commands, []
        shares = next((n for n, words in enumerate(commands) if is_subscription(words)), None)
        answers = [self.answer(words, reader) for words in commands[:shares]]
        if shares is None and reader.error:
            answers.append(encode(reader.error, reader.version))
        connection.write(b"".join(answers))
        if shares is not None:
            connection.share()
            reader.subscriber = Subscriber(connection)
            for words in commands[shares:]:
                self.answer_shared(connection, words, reader)
            return self.end_shared(connection, reader)
        if reader.error:
            return State.LINGER
        return State.HEAD if reader.missing else State.IDLE

    def receive_shared(self, connection: Connection, reader: Reader) -> State:
        count = connection.fill(RECEIVE_SIZE)
        if not count:
            return State.SHARED if count is None else State.CLOSED
        try:
            while words := reader.read(connection):
                self.answer_shared(connection, words, reader)
        except ProtocolError as error:
            reader.error = error
        return self.end_shared(connection, reader)

    def answer_shared(self, connection: Connection, words: list[bytes], reader: Reader) -> None:
        """Answer by what is pushed; a client that does not read its answers is disconnected."""
        answer = None
        if reader.subscriber:
            answer = self.channels.answer(words, reader.subscriber, reader.version)
        if answer is None:
            answer = self.answer(words, reader)
        if not connection.push(answer):
            connection.cut()

    def end_shared(self, connection: Connection, reader: Reader) -> State:
        if reader.error is None:
            return State.SHARED
        connection.push(encode(reader.error, reader.version))
        return State.LINGER

    def closed(self, connection: Connection) -> None:
        reader: Reader | None = connection.context
        if reader and reader.subscriber:
            self.channels.leave(reader.subscriber)

    def answer(self, words: list[bytes], reader: Reader) -> bytes:
        if len(words) == 3 and words[0].upper() == b"PUBLISH":
            return encode(self.channels.publish(words[1], words[2]), reader.version)
        answer = self.commands.answer(words)
        reader.version = version_after(answer, reader.version)
        return encode(answer, reader.version)


def is_subscription(words: list[bytes]) -> bool:
    return words[0].upper() == b"SUBSCRIBE" and len(words) > 1


if __name__ == "__main__":
    store = Store()
    channels = Channels()
    run(lambda: KeyValueWorker(Commands(store), channels))

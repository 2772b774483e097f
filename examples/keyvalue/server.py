"""A key-value server that Redis clients can talk to, in the style that never waits.

python server.py [HOST:PORT]
"""

from __future__ import annotations

from channels import Channels, Subscriber
from commands import MAX_ARGUMENTS, Commands, Store
from listening import run
from protocol import CRLF, MAX_LINE, MAX_SIZE, ProtocolError, encode, length, version_after
from rocket_core import CloseReason, Connection, SharedProtocol, State, Worker

RECEIVE_SIZE = 64 * 1024
MAX_BATCH = 128


class Reader:
    """The part of a command (an array of strings, or a line) that has arrived so far."""

    def __init__(self) -> None:
        self.version = 2
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


class Subscription(SharedProtocol):
    """The shared connection of a subscriber: other threads push messages to it.

    Its commands, none of which takes long, are executed by the thread that receives them.
    """

    kind = "subscriber"

    def __init__(self, worker: KeyValueWorker, connection: Connection, reader: Reader) -> None:
        self.worker = worker
        self.reader = reader
        self.shared = connection.share(self)
        self.subscriber = Subscriber(self.shared)

    def received(self, connection: Connection) -> None:
        try:
            while words := self.reader.read(connection):
                self.execute(words)
        except ProtocolError as error:
            self.end(error)

    def execute(self, words: list[bytes]) -> None:
        """Answer a command; a client that does not read its answers is disconnected."""
        answer = self.worker.channels.answer(words, self.subscriber, self.reader.version)
        if answer is None:
            answer = self.worker.answer(words, self.reader)
        if not self.shared.queue(answer) and answer:
            self.shared.cut()

    def end(self, error: ProtocolError) -> None:
        self.shared.queue(encode(error, self.reader.version))
        self.shared.end()

    def ended(self, reason: CloseReason | None) -> None:
        del reason  # whichever it is
        self.worker.channels.leave(self.subscriber)


class KeyValueWorker(Worker):
    """Serves complete commands only, so that no slow client occupies a thread.

    The connection of a subscriber is shared from its first subscription on.
    """

    def __init__(self, commands: Commands, channels: Channels) -> None:
        self.commands = commands
        self.channels = channels

    def receive(self, connection: Connection) -> State:
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
            subscription = Subscription(self, connection, reader)
            for words in commands[shares:]:
                subscription.execute(words)
            if reader.error:
                subscription.end(reader.error)
            return State.SHARED
        if reader.error:
            return State.LINGER
        return State.HEAD if reader.missing else State.IDLE

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

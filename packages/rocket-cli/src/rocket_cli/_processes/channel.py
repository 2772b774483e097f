"""The channel for messages between the supervisor and one of its processes.

Theory of operation. A channel is a pair of stream sockets. A message is a JSON object on one line.
The two ends differ, because a process may do anything, including nothing, and the supervisor must
still serve the others:

- The end of a process blocks: a thread that sends waits until the supervisor has taken the message.
  Any thread may send; a lock keeps messages whole.
- The end of the supervisor never blocks. What a process does not read is kept until
  `Channel.flush`, and the owner kills a process that lets too much pile up. A turn of reading is
  limited (`TURN`), so that a process that never stops sending does not keep the supervisor from the
  others. A message is limited in bytes (`LIMIT`) and in parts, because small messages can decode to
  large objects.

Neither end relies on the other to say goodbye: the end of file ends the channel.

1. A process sends its last message, and exits.
2. The supervisor has unsent data for it. `Channel.flush` fails, and the data is dropped.
3. The last message is still in the socket: it is received, and only then `EOFError` is raised.

Therefore sending never reports that the other end is gone, only receiving does.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

from rocket_cli._sockets.forks import keep_from_children

LIMIT: Final = 16 << 20
"""The maximum size of a message in bytes."""

TURN: Final = 1 << 18
"""The maximum number of bytes that are received in one turn."""

_RECEIVE_SIZE: Final = 1 << 16

_MAX_CONTAINERS: Final = 500_000
"""The maximum number of objects and arrays in a message to the supervisor: decoded, they can take a
hundred times the memory of their text."""

Message = dict[str, Any]
"""A JSON object."""


class ChannelError(Exception):
    """The data that arrived on a channel is not a valid message."""


class Channel:
    """One end of a channel."""

    def __init__(self, sock: socket.socket, *, waits: bool) -> None:
        """Take over ``sock``; with ``waits`` (not in the supervisor) sending blocks."""
        sock.setblocking(waits)
        keep_from_children(sock)
        self._socket = sock
        self._waits = waits
        self._lock = threading.Lock()
        """Held while a message is sent, so that messages of several threads do not mix."""
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def fileno(self) -> int:
        """Return the descriptor of the socket; -1 after `close`."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def send(self, message: Message) -> None:
        """Send ``message``. If the other end is gone, the message is lost; `receive` tells so."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if not self._waits:
                self._outgoing += data
                self.flush()
                return
            try:
                self._socket.sendall(data)
            except OSError:
                return

    @property
    def unsent(self) -> int:
        """The bytes that are kept because the other end has not read them."""
        return len(self._outgoing)

    def flush(self) -> None:
        """Send as much of the kept data as the socket takes without blocking."""
        while self._outgoing:
            try:
                del self._outgoing[: self._socket.send(self._outgoing)]
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._outgoing.clear()

    def receive(self, limit: int = TURN) -> list[Message]:
        """Return the messages in the next ``limit`` bytes that have arrived, without waiting.

        Raises `EOFError` if the other end is closed and nothing is left to receive, and
        `ChannelError` for data that is not a valid message.
        """
        messages: list[Message] = []
        while limit > 0:
            try:
                data = self._socket.recv(min(_RECEIVE_SIZE, limit), socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                return messages
            except ConnectionError:
                data = b""
            if not data:
                if messages:
                    return messages
                raise EOFError
            messages += self._split(data)
            limit -= len(data)
        return messages

    def __iter__(self) -> Iterator[Message]:
        """Wait for messages, and yield them, until the other end closes. Raises `ChannelError`."""
        while True:
            try:
                data = self._socket.recv(_RECEIVE_SIZE)
            except ConnectionError:
                return
            if not data:
                return
            yield from self._split(data)

    def _split(self, data: bytes) -> list[Message]:
        self._incoming += data
        lines: list[bytearray] = []
        if b"\n" in data:
            *lines, self._incoming = self._incoming.split(b"\n")
        if len(self._incoming) > LIMIT:
            raise ChannelError(f"the message is longer than {LIMIT} bytes")
        if not self._waits and any(map(_is_crowded, lines)):
            raise ChannelError(f"the message has more than {_MAX_CONTAINERS} parts")
        return [_parse(line) for line in lines]


def channel_pair() -> tuple[Channel, Channel]:
    """Return the supervisor's end and the process's end of a new channel."""
    ours, theirs = socket.socketpair()
    return Channel(ours, waits=False), Channel(theirs, waits=True)


def _is_crowded(line: bytearray) -> bool:
    return line.count(b"{") + line.count(b"[") > _MAX_CONTAINERS


def _parse(line: bytearray) -> Message:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ChannelError(f"the line is not a JSON object: {bytes(line[:80])!r}") from error
    if not isinstance(message, dict):
        raise ChannelError(f"the line is not a JSON object: {bytes(line[:80])!r}")
    return message

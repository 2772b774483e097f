"""Messages between the supervisor and one of its processes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

from rocket_cli._sockets.forks import keep_from_children

LIMIT: Final = 16 << 20
"""Bytes of the longest message."""

TURN: Final = 1 << 18
"""Bytes that are received at once, so that a process that never ceases lets others speak."""

_RECEIVE_SIZE: Final = 1 << 16

_MOST_CONTAINERS: Final = 500_000
"""Objects and arrays in a message to the supervisor: some take a hundred times their length."""

Message = dict[str, Any]


class ChannelError(Exception):
    """What came over a channel is no message."""


class Channel:
    """One end of a pair of sockets, over which JSON objects go, a line each.

    The supervisor's end never waits: what the other process does not take is kept until `flush`.
    The end of a child waits.
    """

    def __init__(self, sock: socket.socket, *, waits: bool) -> None:
        sock.setblocking(waits)
        keep_from_children(sock)
        self._socket = sock
        self._waits = waits
        self._lock = threading.Lock()
        """Held to send a whole message, which any thread may do."""
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def send(self, message: Message) -> None:
        """Send ``message``. That the other end is gone is told by receiving, not by this."""
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
        """Bytes that are kept."""
        return len(self._outgoing)

    def flush(self) -> None:
        """Send of what is kept as much as the other end takes at once."""
        while self._outgoing:
            try:
                del self._outgoing[: self._socket.send(self._outgoing)]
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._outgoing.clear()

    def receive(self, most: int = TURN) -> list[Message]:
        """The messages in the next ``most`` bytes that have arrived, without waiting.

        Raises `EOFError` when the other end is closed, and nothing is left; `ChannelError`.
        """
        messages: list[Message] = []
        while most > 0:
            try:
                data = self._socket.recv(min(_RECEIVE_SIZE, most), socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                return messages
            except ConnectionError:
                data = b""
            if not data:
                if messages:
                    return messages
                raise EOFError
            messages += self._split(data)
            most -= len(data)
        return messages

    def __iter__(self) -> Iterator[Message]:
        """The messages, waited for, until the other end is closed. Raises `ChannelError`."""
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
            raise ChannelError(f"a message has more than {LIMIT} bytes")
        if not self._waits and any(map(_is_crowded, lines)):
            raise ChannelError(f"a message has more than {_MOST_CONTAINERS} parts")
        return [_parse(line) for line in lines]


def channel_pair() -> tuple[Channel, Channel]:
    """The supervisor's end, and that of a child."""
    ours, theirs = socket.socketpair()
    return Channel(ours, waits=False), Channel(theirs, waits=True)


def _is_crowded(line: bytearray) -> bool:
    return line.count(b"{") + line.count(b"[") > _MOST_CONTAINERS


def _parse(line: bytearray) -> Message:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ChannelError(f"not a message: {bytes(line[:80])!r}") from error
    if not isinstance(message, dict):
        raise ChannelError(f"not a message: {bytes(line[:80])!r}")
    return message

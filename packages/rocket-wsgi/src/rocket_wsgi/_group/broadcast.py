"""A message to many members, which is encoded once for all of them."""

from __future__ import annotations

import json
from enum import Enum

from rocket_wsgi._events.event_format import check_data, check_event, check_id, encode_event
from rocket_wsgi._websocket.encoding import check_message, encode_message


class MemberKind(Enum):
    """What the members of a group are."""

    WEBSOCKET = "websocket"
    EVENT_STREAM = "event stream"


class Broadcast:
    """A message to members of either kind.

    Each encoding is made when it is first needed, unless it is the only one. Two threads may make
    the same one: both results are equal, and one of them stays.

    Attributes:
        kind: what the members must be; None for text, which both kinds can send.
        identity: the event's ID, or None.
    """

    __slots__ = ("_compressed", "_data", "_event", "_plain", "_stream", "identity", "kind")

    def __init__(
        self, data: str | bytes, event: str | None = None, identity: str | int | None = None
    ) -> None:
        """Check the message: TypeError or ValueError if no member could send it."""
        self._event = check_event(event)
        self.identity = check_id(identity)
        self.kind: MemberKind | None = None
        self._stream: bytes | None = None
        if event is not None or identity is not None:
            data = check_data(data)
            self.kind = MemberKind.EVENT_STREAM
            # At once: what cannot be encoded must not fail at members, or from the history.
            self._stream = encode_event(data, event, self.identity)
        elif isinstance(data, bytes):
            self.kind = MemberKind.WEBSOCKET
        else:
            check_message(data)
            data.encode()
        self._data = data
        self._plain: bytes | None = None
        self._compressed: bytes | None = None

    def websocket_frame(self, *, compressed: bool) -> bytes:
        """Return the message as a frame, for websockets with compression or without."""
        encoded = self._compressed if compressed else self._plain
        if encoded is None:
            encoded = encode_message(self._data, compressed=compressed)
            if compressed:
                self._compressed = encoded
            else:
                self._plain = encoded
        return encoded

    def stream_event(self) -> bytes:
        """Return the message as an event of an event stream."""
        encoded = self._stream
        if encoded is None:
            encoded = encode_event(check_data(self._data), self._event, self.identity)
            self._stream = encoded
        return encoded

    def to_bytes(self) -> bytes:
        """Return the message in the form in which buses carry it."""
        if isinstance(self._data, bytes):
            return b"b" + self._data
        return b"t" + json.dumps([self._data, self._event, self.identity]).encode()


def from_bytes(message: bytes) -> Broadcast:
    """Return the message that `Broadcast.to_bytes` turned into ``message``."""
    if message.startswith(b"b"):
        return Broadcast(message[1:])
    data, event, identity = json.loads(message[1:])
    return Broadcast(data, event, identity)

"""The frames that clients send: bytes in, events out (RFC 6455, sections 5 to 8; RFC 7692).

Theory of operation. One thread at a time owns a reader, namely the thread that reads from the
connection. It feeds the bytes as they come, and asks for events one by one until there is none. So
the caller may stop at any event, and the rest of the bytes waits here, undecoded.

A message that is contained in one frame, which has arrived completely, is decoded in one go. Any
other is unmasked, decompressed and checked piece by piece as it arrives, into a `_Begun` message.
Errors are events, too: `Failure` says which close code is due. It is the last event, as `Closing`
is: bytes behind them are dropped.
"""

from __future__ import annotations

import codecs
import io
from typing import Final

from rocket_wsgi._websocket.close_codes import (
    INVALID_DATA,
    NO_STATUS,
    PROTOCOL_ERROR,
    TOO_BIG,
    is_sendable,
)
from rocket_wsgi._websocket.deflate import Inflater
from rocket_wsgi._websocket.encoding import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT
from rocket_wsgi._websocket.masking import rotate, unmask

_MASKED: Final = 0x80
_OPCODE: Final = 0x0F
_RESERVED: Final = 0x70
_MAX_CONTROL: Final = 125
_KEY: Final = 4
_WHOLE: Final = (FIN | TEXT, FIN | BINARY)
_SMALL_HEAD: Final = 2 + _KEY
_ALONE: Final = FIN | RSV1
"""The flags whose value says that a frame is a whole message, and not compressed."""

# What the first byte of a frame says. The value for control frames is their bit of the opcode.
_UNKNOWN: Final = 0
_BEGINS: Final = 1
_CONTINUES: Final = 2
_CONTROL: Final = 8


def _kind(first: int) -> int:
    """Return what the first byte of a frame says. Control frames are never fragmented."""
    opcode = first & _OPCODE
    if first & FIN and opcode in {CLOSE, PING, PONG} and not first & _RESERVED:
        return _CONTROL
    if opcode in {TEXT, BINARY} and first & _RESERVED in {0, RSV1}:
        return _BEGINS
    return _CONTINUES if opcode == CONTINUATION and not first & _RESERVED else _UNKNOWN


_KINDS: Final = bytes([_kind(first) for first in range(256)])


class Ping:
    """A ping, which a pong with the same payload answers."""

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload


class Pong:
    """A pong."""

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload


class Closing:
    """A close frame; its code is 1005 if it has none."""

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class Failure:
    """A violation of the protocol or a limit, with the close code that answers it."""

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


Event = str | bytes | Ping | Pong | Closing | Failure
"""What frames amount to. A whole message is its own event: text is str, binary data is bytes."""


class _Text:
    """The text of a begun message, checked as it arrives."""

    __slots__ = ("_decoder", "_stream")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        # A stream instead of a list: pieces of one byte would take fifty times their size.
        self._stream = io.StringIO(newline="")

    def add(self, data: bytes, *, last: bool) -> bool:
        """Add a piece; whether it is UTF-8 so far."""
        try:
            self._stream.write(self._decoder.decode(data, last))
        except UnicodeDecodeError:
            return False
        return True

    def content(self) -> str | bytes:
        """Return the whole text."""
        return self._stream.getvalue()


class _Binary:
    """The bytes of a begun message."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes, *, last: bool) -> bool:  # noqa: ARG002 - as text is added
        """Add a piece; any is correct."""
        self._data += data
        return True

    def content(self) -> str | bytes:
        """Return all bytes."""
        return bytes(self._data)


class _Begun:
    """A message of which a part has arrived.

    Attributes:
        size: the number of bytes so far, decompressed.
    """

    __slots__ = ("_content", "_inflater", "size")

    def __init__(self, *, text: bool, compressed: bool) -> None:
        self.size = 0
        self._inflater: Inflater | None = Inflater() if compressed else None
        self._content: _Text | _Binary = _Text() if text else _Binary()

    @property
    def compressed(self) -> bool:
        """Whether the message is compressed."""
        return self._inflater is not None

    def add(self, data: bytes, limit: int, *, last: bool) -> Failure | None:
        """Add a piece, unmasked. ``last`` says that the message ends with it."""
        if self._inflater is not None:
            plain = self._inflater.inflate(data, limit - self.size, last=last)
            if plain is None:
                return Failure(PROTOCOL_ERROR, "a message is not compressed correctly")
            data = plain
        self.size += len(data)
        if self.size > limit:
            return _too_big(limit)
        if not self._content.add(data, last=last):
            return Failure(INVALID_DATA, "a text message is not UTF-8")
        return None

    def content(self) -> str | bytes:
        """Return the whole message."""
        return self._content.content()


class FrameReader:
    """Turns the bytes of a client into events.

    Attributes:
        size: the size in bytes of the message that was returned last, as UTF-8 and decompressed.
    """

    __slots__ = (
        "_begun",
        "_compressed",
        "_data",
        "_done",
        "_ends",
        "_key",
        "_left",
        "_max_message",
        "_most_small",
        "_position",
        "size",
    )

    def __init__(self, max_message: int, *, compressed: bool) -> None:
        """Admit messages of up to ``max_message`` bytes, and compressed ones if that is agreed."""
        self._max_message = max_message
        self._most_small = min(max_message, _MAX_CONTROL)  # 125: longer sizes have another form
        self._compressed = compressed
        self._data = b""
        self._position = 0
        self._begun: _Begun | None = None
        self._left = 0  # bytes that are missing of the present data frame
        self._ends = True  # whether the present data frame is the last of its message
        self._key = b""
        self._done = False
        self.size = 0

    @property
    def held(self) -> int:
        """The number of bytes that wait here: undecoded ones, and those of a begun message."""
        begun = self._begun
        return len(self._data) - self._position + (0 if begun is None else begun.size)

    @property
    def begun(self) -> bool:
        """Whether a message, or a frame, has begun whose end has not arrived."""
        return self._begun is not None or self._position < len(self._data)

    def feed(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        if self._done:
            return
        if self._position < len(self._data):
            self._data = self._data[self._position :] + data
        else:
            self._data = data
        self._position = 0

    def next(self) -> Event | None:
        """Return the next event; None if its bytes have not all arrived."""
        data = self._data
        position = self._position
        if position == len(data):
            return None
        begin = position + _SMALL_HEAD
        if begin <= len(data) and self._begun is None and not self._done:
            # The shortcut for a small message in one frame, the usual kind. All others, and the
            # faulty, take the way below, which comes to the same for the small ones.
            first = data[position]
            end = begin + data[position + 1] - _MASKED
            small = begin <= end <= min(len(data), begin + self._most_small)
            if small and first in _WHOLE:
                self._position = end
                return self._whole(first, unmask(data[begin:end], data[begin - _KEY : begin]))
        return self._next()

    def _next(self) -> Event | None:
        event: Event | None = None
        while not self._done:
            if self._left:
                if self._position == len(self._data):
                    break
                event = self._take_piece()
            else:
                start = self._position
                event = self._take_frame()
                if event is None and self._position == start:
                    break
            if event is not None:
                if isinstance(event, (Closing, Failure)):
                    self._done = True
                    self._begun = None
                    break
                return event
        if self._done or self._position == len(self._data):
            self._data = b""
            self._position = 0
        return event

    def _take_frame(self) -> Event | None:
        """Take a frame, or the head of one. Without all bytes of the head nothing is taken."""
        data = self._data
        position = self._position
        available = len(data) - position
        if available < 2:
            return None
        first = data[position]
        second = data[position + 1]
        fault = self._fault_of(first, second)
        if fault is not None:
            return Failure(PROTOCOL_ERROR, fault)
        size = second & 0x7F
        start = position + 2
        if size > _MAX_CONTROL:
            wide = 2 if size == 126 else 8
            if available < 2 + wide:
                return None
            size = int.from_bytes(data[start : start + wide], "big")
            if size < (126 if wide == 2 else 65536) or size >> 63:
                return Failure(PROTOCOL_ERROR, "the length of a frame is malformed")
            start += wide
        if first & _CONTROL:
            return self._take_control(first & _OPCODE, size, start)
        return self._take_data(first, size, start)

    def _take_control(self, opcode: int, size: int, start: int) -> Event | None:
        """Take a control frame, whose key begins at ``start``, if it has arrived completely."""
        data = self._data
        begin = start + _KEY
        end = begin + size
        if len(data) < end:
            return None
        self._position = end
        payload = unmask(data[begin:end], data[start:begin])
        if opcode == PING:
            return Ping(payload)
        return Pong(payload) if opcode == PONG else _closing(payload)

    def _take_data(self, first: int, size: int, start: int) -> Event | None:
        """Take a whole message, or begin to take a data frame whose key begins at ``start``."""
        if self._exceeds(first, size):
            return _too_big(self._max_message)
        data = self._data
        begin = start + _KEY
        end = begin + size
        if len(data) < begin:
            return None
        if self._begun is None and first & _ALONE == FIN and len(data) >= end:
            payload = unmask(data[begin:end], data[start:begin])
            self._position = end
            return self._whole(first, payload)
        self._position = begin
        self._key = data[start:begin]
        return self._begin(first, size)

    def _fault_of(self, first: int, second: int) -> str | None:
        """Return what is wrong with the first two bytes of a frame."""
        kind = _KINDS[first]
        if not second & _MASKED:
            fault: str | None = "a frame is not masked"
        elif kind == _UNKNOWN or (first & RSV1 and not self._compressed):
            fault = "a frame has an unknown opcode, or a flag that is not agreed"
        elif kind == _CONTROL and second & 0x7F > _MAX_CONTROL:
            fault = "a control frame is too long"
        elif kind != _CONTROL and (kind == _CONTINUES) != (self._begun is not None):
            fault = "a frame does not continue the message as it must"
        else:
            fault = None
        return fault

    def _exceeds(self, first: int, size: int) -> bool:
        """Return whether a data frame announces too much. What is compressed counts inflated."""
        begun = self._begun
        if begun is None:
            return not first & RSV1 and size > self._max_message
        return not begun.compressed and begun.size + size > self._max_message

    def _whole(self, first: int, payload: bytes) -> Event:
        """Return the message of a single frame."""
        self.size = len(payload)
        if first & _OPCODE == BINARY:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            self._done = True  # the shortcut in `next` returns this at once
            return Failure(INVALID_DATA, "a text message is not UTF-8")

    def _begin(self, first: int, size: int) -> Event | None:
        """Begin a data frame of ``size`` bytes, which are taken as they come."""
        if self._begun is None:
            text = first & _OPCODE == TEXT
            self._begun = _Begun(text=text, compressed=bool(first & RSV1))
        self._left = size
        self._ends = bool(first & FIN)
        return None if size else self._add(b"")

    def _take_piece(self) -> Event | None:
        """Take what has arrived of the present data frame."""
        position = self._position
        end = min(position + self._left, len(self._data))
        piece = self._data[position:end]
        key = self._key
        self._key = rotate(key, len(piece))
        self._position = end
        self._left -= len(piece)
        return self._add(unmask(piece, key))

    def _add(self, data: bytes) -> Event | None:
        """Add a piece to the begun message; return the message if it is complete."""
        begun = self._begun
        if begun is None:
            return None
        complete = self._ends and not self._left
        fault = begun.add(data, self._max_message, last=complete)
        if fault is not None:
            return fault
        if not complete:
            return None
        self._begun = None
        self.size = begun.size
        return begun.content()


def _too_big(limit: int) -> Failure:
    return Failure(TOO_BIG, f"a message has more than {limit} bytes")


def _closing(payload: bytes) -> Event:
    """Return the event of a close frame."""
    if not payload:
        return Closing(NO_STATUS, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not is_sendable(code):
        return Failure(PROTOCOL_ERROR, "the code of a close frame is not valid")
    try:
        return Closing(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Failure(INVALID_DATA, "the reason of a close frame is not UTF-8")

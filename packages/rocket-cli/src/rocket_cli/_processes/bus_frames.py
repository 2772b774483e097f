"""The frames in which the messages of shared groups go between worker processes and supervisor.

A frame is its kind (a byte), the length of what follows (four bytes), and that. What follows in a
frame with a message is the length of the group's name (two bytes), the name and the message, which
the supervisor passes on as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

MAX_MESSAGE: Final = 4 << 20
"""The maximum size of a message, with the name of its group, in bytes."""

_HEADER: Final = struct.Struct(">BI")
_NAME: Final = struct.Struct(">H")
_COUNT: Final = struct.Struct(">Q")

_LIMIT: Final = MAX_MESSAGE + _COUNT.size + _NAME.size
_MAX_NAME: Final = (1 << 16) - 1


class Kind(IntEnum):
    """What a frame says."""

    PUBLISH = 1
    """From a process: a message to all."""
    SUBSCRIBE = 2
    """From a process: it wants all messages from now on. Once."""
    RECALL = 3
    """From a process: it wants the latest messages of a name. One at a time."""
    MESSAGE = 4
    """From the supervisor: a message."""
    RECALLED = 5
    """From the supervisor: an earlier message, in answer to `RECALL`."""
    RECALL_END = 6
    """From the supervisor: the end of that answer. What follows is not in it, and has not been."""
    MISSED = 7
    """From the supervisor: the number of messages that the process has missed here."""


class FrameError(Exception):
    """What has arrived is not a valid frame."""


class FrameReader:
    """Splits what arrives into frames."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take ``data``, and yield the kind and the content of each frame that is now complete.

        Raises `FrameError` for a frame that is too long.
        """
        self._data += data
        start = 0
        try:
            while len(self._data) - start >= _HEADER.size:
                kind, length = _HEADER.unpack_from(self._data, start)
                if length > _LIMIT:
                    raise FrameError(f"a frame has {length} bytes, more than {_LIMIT}")
                end = start + _HEADER.size + length
                if len(self._data) < end:
                    return
                content = bytes(memoryview(self._data)[start + _HEADER.size : end])
                start = end
                yield kind, content
        finally:
            del self._data[:start]


def frame(kind: Kind, content: bytes = b"") -> bytes:
    """Return a frame."""
    return _HEADER.pack(kind, len(content)) + content


def message_content(name: str, message: bytes) -> bytes:
    """Return the content of a frame with a message. Raises `ValueError` if it is too large."""
    encoded = name.encode()
    size = len(encoded) + len(message)
    if len(encoded) > _MAX_NAME or size > MAX_MESSAGE:
        raise ValueError(
            f"the message has {size} bytes with the name of its group; at most {MAX_MESSAGE} go "
            "between processes"
        )
    return _NAME.pack(len(encoded)) + encoded + message


def split_message(content: bytes) -> tuple[bytes, bytes]:
    """Return the encoded name and the message in a frame's content. Raises `FrameError`."""
    if len(content) >= _NAME.size:
        (length,) = _NAME.unpack_from(content)
        end = _NAME.size + length
        if len(content) >= end:
            return content[_NAME.size : end], content[end:]
    raise FrameError("a frame with a message is too short for the name of its group")


def recall_content(name: str, count: int) -> bytes:
    """Return the content of the frame that asks for the latest ``count`` messages of ``name``."""
    return _COUNT.pack(count) + name.encode()


def split_recall(content: bytes) -> tuple[bytes, int]:
    """Return the encoded name, and the number of messages, that `recall_content` was given."""
    if len(content) < _COUNT.size:
        raise FrameError("a frame that asks for messages is too short")
    return content[_COUNT.size :], _COUNT.unpack_from(content)[0]


def missed_content(count: int) -> bytes:
    """Return the content of the frame that tells how many messages were missed."""
    return _COUNT.pack(count)


def missed_count(content: bytes) -> int:
    """Return the number in the content of a frame that tells how many messages were missed."""
    count: int = _COUNT.unpack(content)[0]
    return count

"""The settings of a client, and those of this server (RFC 9113, section 6.5)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.faults import SessionError
from rocket_wsgi._http2.frames import MAX_FRAME, SETTINGS, STREAM_MASK, frame, window_update
from rocket_wsgi._http2.limits import (
    CONNECTION_WINDOW,
    MAX_LIST,
    MAX_STREAMS,
    MAX_TABLE,
    STREAM_WINDOW,
)

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
ENABLE_CONNECT_PROTOCOL: Final = 0x8
"""RFC 8441, section 3."""
NO_RFC7540_PRIORITIES: Final = 0x9
"""RFC 9218, section 2.1."""

INITIAL_WINDOW: Final = 65_535
"""The window of a stream and of a connection until something else is said (section 6.9.2)."""

_ENTRY: Final = Struct(">HI")
ENTRY_SIZE: Final = 6
"""The bytes of a setting in its frame."""

_LARGEST_FRAME: Final = (1 << 24) - 1
_SWITCHES: Final = frozenset({ENABLE_PUSH, ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES})

GREETING: Final = frame(
    SETTINGS,
    0,
    0,
    b"".join(
        _ENTRY.pack(setting, value)
        for setting, value in (
            (MAX_CONCURRENT_STREAMS, MAX_STREAMS),
            (INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (MAX_HEADER_LIST_SIZE, MAX_LIST),
            (ENABLE_CONNECT_PROTOCOL, 1),
            (NO_RFC7540_PRIORITIES, 1),
        )
    ),
) + window_update(0, CONNECTION_WINDOW - INITIAL_WINDOW)
"""The connection preface of the server, with the credit for the connection (section 3.4)."""


class ClientSettings:
    """What the client has set. Unknown settings, and those that matter to clients, are ignored.

    Attributes:
        window: the initial window of streams, for what the server sends.
        table: the smallest table for field blocks that the client has demanded so far.
    """

    __slots__ = ("_old_priorities", "table", "window")

    def __init__(self) -> None:
        self.window = INITIAL_WINDOW
        self.table = MAX_TABLE
        self._old_priorities = -1
        """The value of NO_RFC7540_PRIORITIES, which must not change."""

    def read(self, payload: bytes) -> None:
        """Take the settings of a frame. Raises `SessionError`.

        Of several values only the last one counts, whatever a client writes between: the sum of
        changes is the same, and each would cost a pass over all streams.
        """
        if len(payload) % ENTRY_SIZE:
            raise SessionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS has a part of a setting")
        for setting, value in _ENTRY.iter_unpack(payload):
            if setting == INITIAL_WINDOW_SIZE:
                if value > STREAM_MASK:
                    raise SessionError(
                        ErrorCode.FLOW_CONTROL_ERROR, "the initial window is too large"
                    )
                self.window = value
            elif setting == HEADER_TABLE_SIZE:
                self.table = min(self.table, value)
            elif setting == MAX_FRAME_SIZE:
                if not MAX_FRAME <= value <= _LARGEST_FRAME:
                    raise _fault("the maximum frame size is out of range")
            elif setting in _SWITCHES:
                self._switch(setting, value)
        # Without the setting in the first frame, the initial value holds.
        self._old_priorities = max(self._old_priorities, 0)

    def _switch(self, setting: int, value: int) -> None:
        if value > 1:
            raise _fault("a setting is neither 0 nor 1")
        if setting == NO_RFC7540_PRIORITIES:
            if self._old_priorities not in {-1, value}:
                raise _fault("the kind of priorities changes")
            self._old_priorities = value


def _fault(reason: str) -> SessionError:
    return SessionError(ErrorCode.PROTOCOL_ERROR, reason)

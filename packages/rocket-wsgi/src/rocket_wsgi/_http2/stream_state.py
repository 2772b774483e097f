"""The states of a stream, and what leads from one to another (RFC 9113, section 5.1).

A server that pushes nothing has five of the seven states. A stream is not kept in IDLE: every
number above the highest one that was used is idle, and every other one that is not kept is closed.

OPEN: the client may send, and the server may.
HALF_CLOSED_REMOTE: the request is complete; the response is not.
HALF_CLOSED_LOCAL: the response is complete; the client may still send.
CLOSED: nothing is sent or received any more. The application may still be at work.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class StreamState(Enum):
    """A state of a stream."""

    IDLE = "idle"
    OPEN = "open"
    HALF_CLOSED_REMOTE = "half-closed (remote)"
    HALF_CLOSED_LOCAL = "half-closed (local)"
    CLOSED = "closed"

    __hash__ = object.__hash__


class StreamStep(Enum):
    """What happens to a stream."""

    HEADERS = "the head of a request arrives"
    CLIENT_ENDS = "a frame with END_STREAM arrives"
    WE_END = "a frame with END_STREAM is sent"
    RESET = "RST_STREAM is sent or arrives"

    __hash__ = object.__hash__


TRANSITIONS: Final[dict[tuple[StreamState, StreamStep], StreamState]] = {
    (StreamState.IDLE, StreamStep.HEADERS): StreamState.OPEN,
    (StreamState.OPEN, StreamStep.CLIENT_ENDS): StreamState.HALF_CLOSED_REMOTE,
    (StreamState.OPEN, StreamStep.WE_END): StreamState.HALF_CLOSED_LOCAL,
    (StreamState.OPEN, StreamStep.RESET): StreamState.CLOSED,
    (StreamState.HALF_CLOSED_REMOTE, StreamStep.WE_END): StreamState.CLOSED,
    (StreamState.HALF_CLOSED_REMOTE, StreamStep.RESET): StreamState.CLOSED,
    (StreamState.HALF_CLOSED_LOCAL, StreamStep.CLIENT_ENDS): StreamState.CLOSED,
    (StreamState.HALF_CLOSED_LOCAL, StreamStep.RESET): StreamState.CLOSED,
}
"""The state after a step. A step that is not in the table does not happen: it changes nothing."""

"""The states of an open websocket, and what leads from one to another.

Rule. A side that has sent a close frame sends nothing after it. The connection ends once both sides
have sent theirs, or at once after an error or without the client.

OPEN: both sides send.
ANSWERING: the client's close frame has arrived. Ours follows when the messages before it have been
    handled; until then the application may send.
AWAITING: our close frame has been sent. The client's is awaited for two seconds.
CLOSED: nothing is sent or received any more.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """A state of a websocket."""

    OPEN = "open"
    ANSWERING = "answering"
    AWAITING = "awaiting"
    CLOSED = "closed"


class Step(Enum):
    """What happens to a websocket."""

    CLIENT_CLOSES = "client closes"
    WE_CLOSE = "we close"
    FAILED = "failed"
    GONE = "gone"


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.OPEN, Step.CLIENT_CLOSES): State.ANSWERING,
    (State.OPEN, Step.WE_CLOSE): State.AWAITING,
    (State.OPEN, Step.FAILED): State.CLOSED,
    (State.OPEN, Step.GONE): State.CLOSED,
    (State.ANSWERING, Step.WE_CLOSE): State.CLOSED,
    (State.ANSWERING, Step.FAILED): State.CLOSED,
    (State.ANSWERING, Step.GONE): State.CLOSED,
    (State.AWAITING, Step.CLIENT_CLOSES): State.CLOSED,
    (State.AWAITING, Step.FAILED): State.CLOSED,
    (State.AWAITING, Step.GONE): State.CLOSED,
}
"""The state after a step. A step that is not in the table does not happen: it changes nothing."""

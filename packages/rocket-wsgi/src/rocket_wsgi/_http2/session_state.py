"""The states of a session, and what leads from one to another (RFC 9113, sections 3.4 and 6.8).

PREFACE: the client's connection preface has not arrived completely.
GREETED: it has; its first SETTINGS frame has not.
OPEN: requests are served.
DRAINING: the client has been told to begin no further request, and may not know it yet.
LEAVING: the client knows which request is the last. Later ones are not served.
CLOSED: nothing is received any more. What is left to be sent ends with a GOAWAY frame, unless the
    client is gone.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class SessionState(Enum):
    """A state of a session."""

    PREFACE = "preface"
    GREETED = "greeted"
    OPEN = "open"
    DRAINING = "draining"
    LEAVING = "leaving"
    CLOSED = "closed"

    __hash__ = object.__hash__


class SessionStep(Enum):
    """What happens to a session."""

    PREFACE = "the connection preface arrives"
    SETTINGS = "the first SETTINGS frame arrives"
    DRAIN = "the server wants to end it"
    LAST = "the last request is certain, or the client leaves"
    END = "it has failed, all is served, or the client is gone"

    __hash__ = object.__hash__


TRANSITIONS: Final[dict[tuple[SessionState, SessionStep], SessionState]] = {
    (SessionState.PREFACE, SessionStep.PREFACE): SessionState.GREETED,
    (SessionState.GREETED, SessionStep.SETTINGS): SessionState.OPEN,
    (SessionState.OPEN, SessionStep.DRAIN): SessionState.DRAINING,
    (SessionState.OPEN, SessionStep.LAST): SessionState.LEAVING,
    (SessionState.DRAINING, SessionStep.LAST): SessionState.LEAVING,
    (SessionState.PREFACE, SessionStep.END): SessionState.CLOSED,
    (SessionState.GREETED, SessionStep.END): SessionState.CLOSED,
    (SessionState.OPEN, SessionStep.END): SessionState.CLOSED,
    (SessionState.DRAINING, SessionStep.END): SessionState.CLOSED,
    (SessionState.LEAVING, SessionStep.END): SessionState.CLOSED,
}
"""The state after a step. A step that is not in the table does not happen: it changes nothing."""

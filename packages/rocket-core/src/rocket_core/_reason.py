"""Why connections end."""

from __future__ import annotations

from enum import Enum


class CloseReason(Enum):
    """The reason a connection was closed; the value is the name statistics use."""

    CLIENT = "client closed"
    RESET = "connection reset"
    SERVED = "served"
    ERROR = "error"
    TLS = "TLS error"
    PROXY = "PROXY header error"
    HANDSHAKE_TIMEOUT = "handshake timed out"
    HEAD_TIMEOUT = "head timed out"
    KEEP_ALIVE_TIMEOUT = "keep-alive timed out"
    BODY_TIMEOUT = "body too slow"
    SEND_TIMEOUT = "response taken too slowly"
    SILENCE_TIMEOUT = "upgraded connection silent"
    LINGER_TIMEOUT = "linger timed out"
    OVERLOADED = "overloaded"
    LEFT = "client left the queue"
    REQUEST_TIMEOUT = "request timed out"
    CROWDED = "made room for another"
    DRAINED = "drained"
    STOPPED = "stopped"

    __hash__ = object.__hash__

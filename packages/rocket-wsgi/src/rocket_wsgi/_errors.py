"""Errors that the package raises."""

from __future__ import annotations

from enum import Enum


class ApplicationError(Exception):
    """The application violated a rule of PEP 3333."""


class BusError(Exception):
    """A bus could not take a message within its time. No subscriber is likely to get it."""


class CancelledBy(Enum):
    """Why the answer to a request is not wanted any more. Each value is a text for people."""

    CLIENT = "the client is gone"
    """The client has closed or reset the connection, or reset the stream (HTTP/2)."""
    DEADLINE = "the deadline of a proxy is over"
    """The time is over that a trusted proxy has given; see ``deadline_field``."""
    TIMEOUT = "the request took too long"
    """The server's ``request_timeout`` is over: it has answered itself, or has disconnected."""
    STOP = "the server stops"
    """The server stops, or the time of its drain is over."""
    END = "the request is over"
    """The view has returned, and its response is complete."""

    __hash__ = object.__hash__


class Cancelled(Exception):  # noqa: N818 - names the event, not a fault
    """The answer to a request is not wanted any more: see ``rocket.cancelled``.

    A view may let it pass. Then the server answers 504 if a deadline is over, otherwise it closes
    the connection, and no traceback is logged.

    Attributes:
        by: why.
    """

    def __init__(self, by: CancelledBy) -> None:
        super().__init__(by.value)
        self.by = by

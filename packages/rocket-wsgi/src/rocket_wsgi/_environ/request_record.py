"""The record of one request that the access log is written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rocket_core.http1 import RequestLine


class RequestRecord:
    """One request: what the client asked for, and how the request ended.

    The first part is kept from before the application runs, so that nothing that the application
    does to its environ changes it. It also lets another thread log a request while the application
    still uses the environ.

    Attributes:
        line: the request line; None if the received bytes are not a request line.
        raw: the first line of the received bytes if they are not a request head; only set for a
            request that the server refused.
        values: the environ's values of `Format.keys` before the application ran; None for a
            missing one.
        user: the value that the application has stored in ``REMOTE_USER``.
        requests: the number of this request on its connection, from 1; 0 if it was not served.
        thread: the name of the serving thread if the format contains it; otherwise empty.
        when: the time at which the application was called or the request was refused, by
            `time.time`.
        began: the same time, by `time.monotonic`.
        queued: seconds for which the complete request waited for a thread.
        status: the status code of the response; 0 if no response was sent.
        size: the number of bytes of the body that were sent, without chunk framing.
        seconds: seconds that the application took.
        error: the reason why the server answered instead of the application, or why no response
            was sent; None if the application answered.
    """

    __slots__ = (
        "began",
        "error",
        "line",
        "queued",
        "raw",
        "requests",
        "seconds",
        "size",
        "status",
        "thread",
        "user",
        "values",
        "when",
    )

    line: RequestLine | None
    raw: str
    values: list[str | None]
    user: str | None
    requests: int
    thread: str
    when: float
    began: float
    queued: float
    status: int
    size: int
    seconds: float
    error: str | None


class Messages(NamedTuple):
    """The messages of a websocket or an event stream that has ended.

    Attributes:
        received: the number of messages from the client.
        sent: the number of messages, or events and comments, to the client.
        code: the code with which a websocket was closed; None for an event stream.
    """

    received: int
    sent: int
    code: int | None = None


class MessagesRecord(RequestRecord):
    """A request that has become a websocket or an event stream, which has ended.

    Attributes:
        messages: its messages.
    """

    __slots__ = ("messages",)

    messages: Messages

    def __init__(self, record: RequestRecord, messages: Messages) -> None:
        """Take over what ``record`` has from before the view has returned."""
        self.line = record.line
        self.raw = ""
        self.values = record.values
        self.user = record.user
        self.requests = record.requests
        self.thread = record.thread
        self.when = record.when
        self.began = record.began
        self.queued = record.queued
        self.messages = messages

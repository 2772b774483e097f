"""What the access log knows of one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocket_core.http1 import RequestLine


class RequestRecord:
    """One request: what it asked for, kept from before the application ran, and what became of it.

    Attributes:
        line: the request line; None where what came is none.
        raw: the beginning of what came where ``line`` is None.
        values: of `Format.keys` in the environ, before the application ran; None where missing.
        user: whom the application found the client to be, in ``REMOTE_USER``.
        requests: the number of this request on its connection, from 1; 0: it was never served.
        thread: the name of the thread that served it, where the format asks for it.
        when: when the application was called or the request refused, by `time.time`.
        began: the same, by `time.monotonic`.
        queued: seconds for which the complete request waited for a thread.
        status: the code of the answer; 0: none was sent.
        size: bytes of the body sent, without their coding.
        seconds: how long the application took.
        error: why the server, or nobody, answered.
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

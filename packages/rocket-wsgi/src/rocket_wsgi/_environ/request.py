"""The record of one request. Nothing here parses: each protocol fills in a subclass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from rocket_core.extending import mypyc_attr
from rocket_core.http1 import RequestLine

if TYPE_CHECKING:
    import io

    from rocket_core.extending import Spool
    from rocket_wsgi._environ.request_record import RequestRecord
    from rocket_wsgi._types import Environ

ENDED: Final[Environ] = {}
"""The environ of every request that has ended. Nothing may be written to it."""


class Store(Protocol):
    """Holds the bytes of a body until the application reads them.

    Attributes:
        size: the number of bytes added so far.
    """

    size: int

    def add(self, data: bytes) -> None:
        """Append ``data``."""

    def close(self) -> None:
        """Discard all bytes."""


class RequestBody(Protocol):
    """The body of a request, which arrives in parts."""

    @property
    def complete(self) -> bool:
        """Whether the whole body has been taken from the connection."""

    @property
    def store(self) -> Store:
        """The store to which the body is added."""


class Cancelling(Protocol):
    """What tells the application that its answer is not wanted any more: a `Cancellation`."""

    def look(self) -> None:
        """Look for a reason. Any thread may call this. Never waits, and never raises."""

    def end(self) -> None:
        """Note that the request is over."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Request:
    """A request whose head is complete.

    The constructor of a protocol's subclass sets all attributes.

    Attributes:
        environ: the WSGI environ. ``wsgi.input`` is set when the body is complete, or when the
            application is to read the body as it arrives. `ENDED` after the request.
        method: the request method as sent, because methods are case-sensitive.
        modern: whether the client speaks HTTP/1.1 or later (RFC 9110, section 2.5).
        keep_alive: whether the client allows another request on the connection.
        expects: whether the client waits for ``100 Continue`` before it sends the body (RFC 9110,
            section 10.1.1).
        cancellation: what tells the application that its answer is not wanted any more; None until
            the application asks.
        body: the body, which is taken from the connection; None if the request has no body.
        spool: the store in which the body is collected before the application is called, or None.
        stream: the file from which the application reads a body that is not collected, or None.
        record: the record for the access log. None until the application is called.
        request_id: the request ID. Empty if requests have no IDs.
        target: the request target as sent.
        version: the protocol version as sent.
    """

    __slots__ = (
        "body",
        "cancellation",
        "environ",
        "expects",
        "keep_alive",
        "method",
        "modern",
        "record",
        "request_id",
        "spool",
        "stream",
        "target",
        "version",
    )

    environ: Environ
    method: str
    target: str
    version: str
    modern: bool
    keep_alive: bool
    expects: bool
    body: RequestBody | None
    cancellation: Cancelling | None
    spool: Spool | None
    stream: io.BufferedReader | None
    record: RequestRecord | None
    request_id: str

    def __str__(self) -> str:
        return f"{self.method} {self.target}"

    @property
    def line(self) -> RequestLine:
        """The request line as the client sent it."""
        return RequestLine(self.method, self.target, self.version)

    @property
    def received(self) -> bool:
        """Whether the whole body, if the request has one, has been taken from the connection."""
        return self.body is None or self.body.complete


def is_secure(environ: Environ) -> bool:
    """Return whether the request came over HTTPS, according to the listener or a trusted proxy."""
    return bool(environ["wsgi.url_scheme"] == "https")

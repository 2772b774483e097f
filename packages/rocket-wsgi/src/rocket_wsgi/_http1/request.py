"""A request head, checked and turned into a WSGI environ."""

from __future__ import annotations

import io
from io import BytesIO
from typing import TYPE_CHECKING, Final

from rocket_core.extending import Spool
from rocket_core.http1 import HeadError, split_head
from rocket_wsgi._environ.field_names import EnvironNames
from rocket_wsgi._environ.target import line_environ
from rocket_wsgi._http1.body_decoder import ChunkedBody, LengthBody
from rocket_wsgi._http1.fields import Environ, Fields, Framing
from rocket_wsgi._http1.head_cache import HeadCache

if TYPE_CHECKING:
    from rocket_wsgi._environ.request_record import RequestRecord

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests usually have a body."""

_NO_BODY: Final = Framing.NONE  # an attribute of an enum costs a search

_names: Final = EnvironNames()


class Request:
    """A request whose head is complete.

    Attributes:
        environ: the WSGI environ; its ``wsgi.input`` is set once the body is complete.
        line: the request line as sent, for the log.
        method: as sent; methods are case-sensitive.
        modern: whether the client speaks HTTP/1.1, or a later 1.x (RFC 9110, section 2.5).
        keep_alive: whether the client wants the connection kept.
        framing: how the body ends.
        length: the body's length in bytes where ``framing`` is LENGTH, otherwise 0.
        body: takes the body from the connection; None where there is none.
        spool: where a body is collected.
        stream: what the application reads the body from where it is not collected.
        record: the record of the access log, once the application is called.
        request_id: its id; empty where it has none.
        expects: whether the client waits for ``100 Continue``.
    """

    __slots__ = (
        "body",
        "environ",
        "expects",
        "framing",
        "keep_alive",
        "length",
        "line",
        "method",
        "modern",
        "record",
        "request_id",
        "spool",
        "stream",
    )

    def __init__(
        self,
        head: bytes,
        template: Environ,
        names: EnvironNames = _names,
        memory: HeadCache | None = None,
    ) -> None:
        """Read ``head`` into a copy of ``template``, under the keys that ``names`` has for fields.

        What comes again is kept in ``memory``. Raises `HeadError` with the status that tells what
        is wrong.
        """
        known = None if memory is None else memory.recall(head, template, names)
        if known is None:
            line, lines = split_head(head)
            fields = Fields(lines, line[2], template, names)
            asked = line_environ(line)
        else:
            line, asked, fields = known
        self.line = line
        self.method = method = asked["REQUEST_METHOD"]
        self.modern = modern = fields.modern
        self.keep_alive = keep_alive = fields.keep_alive
        if not modern and keep_alive and method in _WITH_BODY:
            _require_length(fields)
        environ = fields.environ
        if known is not None or (memory is not None and memory.offer(head, fields)):
            environ = environ | asked
        else:
            environ.update(asked)
        self.environ = environ
        self.framing = framing = fields.framing
        self.length = fields.length
        self.expects = fields.expects
        self.body: LengthBody | ChunkedBody | None = None
        self.spool: Spool | None = None
        self.stream: io.BufferedReader | None = None
        self.record: RequestRecord | None = None
        self.request_id = ""
        if framing is _NO_BODY:
            environ["wsgi.input"] = BytesIO()

    def __str__(self) -> str:
        return f"{self.method} {self.line.target}"

    @property
    def received(self) -> bool:
        """Whether nothing of the body is left on the connection."""
        return self.body is None or self.body.complete


def _require_length(fields: Fields) -> None:
    """Refuse a body that could be taken for the next request (RFC 1945, section 8.3)."""
    if "CONTENT_LENGTH" not in fields.environ:
        raise HeadError(411, "with HTTP/1.0 a kept connection needs a Content-Length")

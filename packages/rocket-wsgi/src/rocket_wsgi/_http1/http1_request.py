"""Requests as HTTP/1.1 sends them: a head is checked, and becomes a WSGI environ."""

from __future__ import annotations

import io
from io import BytesIO
from typing import TYPE_CHECKING, Final

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.field_names import EnvironNames
from rocket_wsgi._environ.request import Request
from rocket_wsgi._http1.fields import Framing
from rocket_wsgi._http1.head_cache import HeadCache

if TYPE_CHECKING:
    from rocket_core.extending import Spool
    from rocket_wsgi._environ.request import Cancelling, RequestBody
    from rocket_wsgi._environ.request_record import RequestRecord
    from rocket_wsgi._types import Environ

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
"""The methods whose requests usually have a body."""

_NO_BODY: Final = Framing.NONE  # a look-up of an attribute of an enum is expensive

_names: Final = EnvironNames()


class HTTP1Request(Request):
    """A request over HTTP/1.1 or HTTP/1.0.

    Attributes:
        framing: how the end of the body is found.
        length: the length of the body in bytes if ``framing`` is LENGTH, otherwise 0.
    """

    __slots__ = ("framing", "length")

    def __init__(
        self,
        head: bytes,
        template: Environ,
        names: EnvironNames = _names,
        cache: HeadCache | None = None,
    ) -> None:
        """Read ``head`` into a copy of ``template``.

        ``names`` has the environ keys of header fields. ``cache`` remembers the parts of heads that
        repeat. Raises `HeadError`, whose status tells what is wrong.
        """
        read = (cache or HeadCache()).read(head, template, names)
        self.method, self.target, self.version, fields, environ = read
        self.modern = modern = fields.modern
        self.keep_alive = keep_alive = fields.keep_alive
        if not modern and keep_alive and self.method in _WITH_BODY:
            _require_length(environ)
        self.environ = environ
        self.framing = framing = fields.framing
        self.length = fields.length
        self.expects = fields.expects
        self.body: RequestBody | None = None
        self.cancellation: Cancelling | None = None
        self.spool: Spool | None = None
        self.stream: io.BufferedReader | None = None
        self.record: RequestRecord | None = None
        self.request_id = ""
        if framing is _NO_BODY:
            environ["wsgi.input"] = BytesIO()


def _require_length(environ: Environ) -> None:
    """Refuse a body that could be mistaken for the next request (RFC 1945, section 8.3)."""
    if "CONTENT_LENGTH" not in environ:
        raise HeadError(411, "with HTTP/1.0 a kept connection needs a Content-Length")

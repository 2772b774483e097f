"""A request head, checked and turned into a WSGI environ."""

from __future__ import annotations

import io
from enum import Enum
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from rocket_core import HeadError, Spool, read_fields, split_head
from rocket_wsgi._body import ChunkedBody, LengthBody
from rocket_wsgi._names import EnvironNames
from rocket_wsgi._target import parse_target, valid_host

if TYPE_CHECKING:
    from rocket_wsgi._log_entry import Entry

Environ = dict[str, Any]

_MAX_LENGTH_DIGITS: Final = 19
"""Digits of a Content-Length: more would not fit into 63 bits."""

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests usually have a body."""

_SINGLE: Final = frozenset(
    {"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_TRANSFER_ENCODING"}
)
"""Fields of which two would leave their meaning to whoever reads them."""


class Framing(Enum):
    """How the end of a request's body is found (RFC 9112, section 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"

    __hash__ = object.__hash__


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
        entry: the access log's, once the application is called.
        request_id: its id; empty where it has none.
        expects: whether the client waits for ``100 Continue``.
    """

    __slots__ = (
        "body",
        "entry",
        "environ",
        "expects",
        "framing",
        "keep_alive",
        "length",
        "line",
        "method",
        "modern",
        "request_id",
        "spool",
        "stream",
    )

    def __init__(self, head: bytes, template: Environ, names: EnvironNames = _names) -> None:
        """Read ``head`` into a copy of ``template``, under the keys that ``names`` has for fields.

        Raises `HeadError` with the status that tells what is wrong.
        """
        self.environ = environ = template.copy()
        self.line, lines = split_head(head)
        method, target, version = self.line
        repeated = read_fields(lines, environ, names)
        if repeated and not _SINGLE.isdisjoint(repeated):
            raise HeadError(400, "a header field that may occur once is repeated")
        path, query, authority = parse_target(method, target)
        self.method = environ["REQUEST_METHOD"] = method
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        environ["REQUEST_URI"] = target
        environ["SERVER_PROTOCOL"] = version
        self.modern = version != "HTTP/1.0"
        self._check_host(authority)
        self.expects = False
        self.framing = Framing.NONE
        self.length = 0
        self.body: LengthBody | ChunkedBody | None = None
        self.spool: Spool | None = None
        self.stream: io.BufferedReader | None = None
        self.entry: Entry | None = None
        self.request_id = ""
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            self._find_framing()
        if self.framing is Framing.NONE:
            environ["wsgi.input"] = BytesIO()
        if "HTTP_EXPECT" in environ:
            self._check_expectation()
        connection = environ.get("HTTP_CONNECTION")
        self.keep_alive = self.modern if connection is None else self._wants_more(connection)
        if not self.modern and self.keep_alive and method in _WITH_BODY:
            self._require_length()

    def __str__(self) -> str:
        return f"{self.method} {self.line.target}"

    @property
    def received(self) -> bool:
        """Whether nothing of the body is left on the connection."""
        return self.body is None or self.body.complete

    def _check_host(self, authority: str | None) -> None:
        host = self.environ.get("HTTP_HOST")
        if host is None:
            if self.modern:
                raise HeadError(400, "the Host header field is missing")
        elif not valid_host(host):
            raise HeadError(400, "the Host header field is malformed")
        if authority is not None:
            self.environ["HTTP_HOST"] = authority

    def _find_framing(self) -> None:
        environ = self.environ
        coding = environ.pop("HTTP_TRANSFER_ENCODING", None)
        length: str = environ.get("CONTENT_LENGTH", "")
        if coding is not None:
            if "CONTENT_LENGTH" in environ:
                raise HeadError(400, "the request has both Transfer-Encoding and Content-Length")
            if not self.modern:
                raise HeadError(400, "HTTP/1.0 has no Transfer-Encoding")
            _check_coding(coding)
            self.framing = Framing.CHUNKED
            return
        if not (length.isascii() and length.isdigit()):
            raise HeadError(400, "the Content-Length header field is not a number")
        if len(length) > _MAX_LENGTH_DIGITS:
            raise HeadError(413, "the request body is too long")
        self.length = int(length)
        environ["CONTENT_LENGTH"] = str(self.length)  # without leading zeros
        if self.length:
            self.framing = Framing.LENGTH

    def _require_length(self) -> None:
        """Refuse a body that could be taken for the next request (RFC 1945, section 8.3)."""
        if "CONTENT_LENGTH" not in self.environ:
            raise HeadError(411, "with HTTP/1.0 a kept connection needs a Content-Length")

    def _check_expectation(self) -> None:
        if not self.modern:
            return  # RFC 9110, 10.1.1: HTTP/1.0 clients cannot mean it
        if self.environ["HTTP_EXPECT"].lower() != "100-continue":
            raise HeadError(417, "the only expectation this server meets is 100-continue")
        self.expects = self.framing is not Framing.NONE

    def _wants_more(self, connection: str) -> bool:
        options = connection.lower()
        if options == "keep-alive":
            return True
        tokens = {token.strip(" \t") for token in options.split(",")}
        if "close" in tokens:
            return False
        return self.modern or "keep-alive" in tokens


def _check_coding(coding: str) -> None:
    codings = [each.strip(" \t").lower() for each in coding.split(",")]
    if codings == ["chunked"]:
        return
    if codings[-1] != "chunked" or codings.count("chunked") > 1 or "" in codings:
        raise HeadError(400, "the last transfer coding, and only that, must be chunked")
    raise HeadError(501, "the only transfer coding this server knows is chunked")

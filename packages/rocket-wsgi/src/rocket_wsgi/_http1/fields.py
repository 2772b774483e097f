"""The header fields of a request, checked and interpreted (RFC 9112)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.authority import valid_host

if TYPE_CHECKING:
    from rocket_wsgi._types import Environ

_MAX_LENGTH_DIGITS: Final = 19
"""The maximum number of digits of a Content-Length: more would not fit into 63 bits."""

INTERPRETED: Final = frozenset(
    {
        "CONTENT_LENGTH",
        "HTTP_CONNECTION",
        "HTTP_EXPECT",
        "HTTP_HOST",
        "HTTP_TRANSFER_ENCODING",
    }
)
"""The environ keys of the fields that `Fields` interprets."""

SINGLE: Final = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST"})
"""The fields whose repetition is refused, because a server and a proxy could use different values.
Transfer-Encoding is not among them: it is a list, which may be spread over several lines (RFC 9110,
section 5.3)."""


class Framing(Enum):
    """How the end of the body of a request is found (RFC 9112, section 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"

    __hash__ = object.__hash__


_NO_BODY: Final = Framing.NONE  # a look-up of an attribute of an enum is expensive


class Fields:
    """What the header fields of a request mean for the server, with its protocol version.

    Nothing changes an instance after the constructor, so requests of one thread may share it.

    Attributes:
        modern: whether the client speaks HTTP/1.1, or a later version 1.x (RFC 9110, section 2.5).
        keep_alive: whether the client allows another request on the connection.
        framing: how the end of the body is found.
        length: the length of the body in bytes if ``framing`` is LENGTH, otherwise 0.
        expects: whether the client waits for ``100 Continue``.
    """

    __slots__ = ("expects", "framing", "keep_alive", "length", "modern")

    def __init__(self, environ: Environ, version: str) -> None:
        """Interpret and check the fields in ``environ``. Transfer-Encoding is removed from it.

        Raises `HeadError`, whose status tells what is wrong.
        """
        self.modern = version != "HTTP/1.0"
        host = environ.get("HTTP_HOST")
        if host is None:
            if self.modern:
                raise HeadError(400, "the Host header field is missing")
        elif not valid_host(host):
            raise HeadError(400, "the Host header field is malformed")
        self.framing = _NO_BODY
        self.length = 0
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            self._find_framing(environ)
        self.expects = "HTTP_EXPECT" in environ and self._check_expectation(environ)
        connection = environ.get("HTTP_CONNECTION")
        if connection is None:
            self.keep_alive = self.modern
        else:
            self.keep_alive = connection == "keep-alive" or self._wants_more(connection)

    def _find_framing(self, environ: Environ) -> None:
        """Find how the body ends (RFC 9112, section 6.3). Raises `HeadError`."""
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

    def _check_expectation(self, environ: Environ) -> bool:
        """Return whether the client waits for ``100 Continue``. Raises `HeadError` (417)."""
        if not self.modern:
            return False  # to be ignored with HTTP/1.0 (RFC 9110, section 10.1.1)
        if environ["HTTP_EXPECT"].lower() != "100-continue":
            raise HeadError(417, "the only expectation this server meets is 100-continue")
        return self.framing is not Framing.NONE

    def _wants_more(self, connection: str) -> bool:
        """Return whether the field Connection allows another request (RFC 9112, section 9.3)."""
        tokens = {token.strip(" \t") for token in connection.lower().split(",")}
        if "close" in tokens:
            return False
        return self.modern or "keep-alive" in tokens


def _check_coding(coding: str) -> None:
    """Refuse any other transfer coding than chunked (RFC 9112, section 6.1)."""
    codings = [each.strip(" \t").lower() for each in coding.split(",")]
    if codings == ["chunked"]:
        return
    if codings[-1] != "chunked" or codings.count("chunked") > 1 or "" in codings:
        raise HeadError(400, "the last transfer coding, and only that, must be chunked")
    raise HeadError(501, "the only transfer coding this server knows is chunked")

"""Request targets (RFC 9112, section 3.2)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from rocket_core.http1 import HeadError, RequestLine
from rocket_wsgi._environ.authority import split_host, valid_host

_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([^#]*)\Z", re.IGNORECASE)

MAX_LOCATION: Final = 12 * 1024
"""The maximum length of a ``Location`` of the server's own, in bytes.

Any valid target on any host fits, unless much of it has to be percent-encoded or is a long prefix
that a proxy has removed. A response of that size fits into the send buffer of every connection, so
no thread waits for the client to receive it.
"""


class Target(NamedTuple):
    """The parts of a request target.

    Attributes:
        path: the decoded path, each byte as one latin-1 character (PEP 3333), or ``*``.
        query: the query as sent, without the question mark.
        authority: the authority of the absolute form, which replaces ``Host``; None in other forms.
    """

    path: str
    query: str
    authority: str | None


def parse_target(method: str, target: str) -> Target:
    """Split a target in origin, absolute or asterisk form.

    Raises `HeadError` with status 400 for a form that ``method`` does not allow, and with status
    501 for ``CONNECT`` with an authority, which is a request to a proxy.
    """
    authority = None
    if target[0] != "/" or method == "CONNECT":
        if method == "CONNECT":
            if not valid_host(target) or not split_host(target)[1]:
                raise HeadError(400, "the target of CONNECT is not a host and a port")
            raise HeadError(501, "this server is not a proxy")
        if target == "*" and method == "OPTIONS":
            return Target("*", "", None)
        match = _ABSOLUTE.match(target)
        if match is None:
            raise HeadError(400, "the request target is neither a path nor an http URL")
        authority, target = match[1], match[2]
        if not authority or not valid_host(authority):
            raise HeadError(400, "the request target has a malformed authority")
        if not target.startswith("/"):
            target = "/" + target
    if "#" in target:
        raise HeadError(400, "the request target has a fragment")
    path, _, query = target.partition("?")
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    # Target(...) is a Python function, which takes twice as long.
    return tuple.__new__(Target, (path, query, authority))


def line_environ(line: RequestLine) -> dict[str, str]:
    """Return the environ keys of a request line. Raises `HeadError` like `parse_target`."""
    method, target, _ = line
    path, query, authority = parse_target(method, target)
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_URI": target,
    }
    if authority is not None:
        environ["HTTP_HOST"] = authority
    return environ

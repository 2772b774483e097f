"""Request targets (RFC 9112, section 3.2)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.authority import split_host, valid_host
from rocket_wsgi._repeat_cache import RepeatCache

_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([^#]*)\Z", re.IGNORECASE)

_LONGEST_PATH: Final = 256
"""The maximum length of a remembered path."""

MAX_LOCATION: Final = 12 * 1024
"""The maximum length of a ``Location`` of the server's own, in bytes.

Any valid target on any host fits, unless much of it has to be percent-encoded or is a long prefix
that a proxy has removed. A response of that size fits into the send buffer of every connection, so
no thread waits for the client to receive it.
"""


class _Paths(RepeatCache[str, str]):
    """The decoded paths of the encoded ones that come again."""

    __slots__ = ()

    def __missing__(self, path: str) -> str:
        decoded = unquote_to_bytes(path).decode("latin-1")
        if len(path) <= _LONGEST_PATH:
            self.offer(path, decoded)
        return decoded


_paths: Final = _Paths()


def parse_target(method: str, target: str) -> tuple[str, str, str | None]:
    """Split a target in origin, absolute or asterisk form.

    Returns the decoded path, each byte as one latin-1 character (PEP 3333), or ``*``; the query as
    sent, without the question mark; and the authority of the absolute form, which replaces
    ``Host``, or None for the other forms.

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
            return "*", "", None
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
        path = _paths[path]
    return path, query, authority

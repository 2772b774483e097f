"""Request targets and the authorities in them (RFC 9112, section 3.2; RFC 3986)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from rocket_core.http1 import HeadError, RequestLine
from rocket_wsgi._repeat_cache import RepeatCache

_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([^#]*)\Z", re.IGNORECASE)
_AUTHORITY: Final = re.compile(
    r"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?\Z"
)
_WITH_PORT: Final = re.compile(r":[0-9]+\Z")
_MAX_PORT: Final = 65535
MAX_LOCATION: Final = 12 * 1024
"""Bytes of a ``Location`` that the server makes. Any target behind any host fits, unless much of it
is quoted or was taken off by a proxy; and a response of that size has room on every connection, so
that no thread ever waits for the client to take it."""

_LONGEST_HOST: Final = 255
"""Bytes of a name (RFC 1035, section 2.3.4); an address is shorter."""


class Target(NamedTuple):
    """The parts of a request target.

    Attributes:
        path: decoded, each byte as one latin-1 character (PEP 3333), or ``*``.
        query: as sent, without the question mark.
        authority: from the absolute form, which replaces ``Host``; otherwise None.
    """

    path: str
    query: str
    authority: str | None


def parse_target(method: str, target: str) -> Target:
    """Split a target in origin, absolute or asterisk form.

    Raises `HeadError` with status 400 for any other form that ``method`` does not allow, and 501
    for ``CONNECT`` with an authority, which asks for a proxy.
    """
    authority = None
    if target[0] != "/" or method == "CONNECT":
        if method == "CONNECT":
            if not valid_host(target) or not _WITH_PORT.search(target):
                raise HeadError(400, "the target of CONNECT is not a host and a port")
            raise HeadError(501, "this server is no proxy")
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
    # The class's own constructor is a Python function, and takes twice as long.
    return tuple.__new__(Target, (path, query, authority))


def line_environ(line: RequestLine) -> dict[str, str]:
    """What a request line says, as an environ has it. Raises `HeadError` as `parse_target`."""
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


def _is_authority(text: str) -> bool:
    match = _AUTHORITY.match(text)
    if match is None:
        return False
    literal, port = match.groups()
    if len(text) - (0 if port is None else len(port) + 1) > _LONGEST_HOST:
        return False
    if literal is not None:
        try:
            IPv6Address(literal)
        except ValueError:
            return False
    return not port or int(port) <= _MAX_PORT


class _Hosts(RepeatCache[str, bool]):
    """Whether a ``Host`` value is well-formed; what is not, is not remembered."""

    __slots__ = ()

    def __missing__(self, host: str) -> bool:
        valid = not host or _is_authority(host)
        if valid:
            self.offer(host, valid)
        return valid


_hosts: Final = _Hosts()


def valid_host(host: str) -> bool:
    """Whether ``host`` is a ``Host`` value (RFC 9110, section 7.2), which may be empty.

    What is longer than a name and a port can be is none.
    """
    return _hosts[host]

"""The host and port of a request (RFC 9110, section 7.2; RFC 3986, section 3.2)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

from rocket_wsgi._repeat_cache import RepeatCache

MAX_PORT: Final = 65535

_AUTHORITY: Final = re.compile(
    r"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?\Z"
)

_LONGEST_HOST: Final = 255
"""The maximum length of a name in bytes (RFC 1035, section 2.3.4); an address is shorter."""


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
    return not port or int(port) <= MAX_PORT


class _Hosts(RepeatCache[str, bool]):
    """The well-formed values of ``Host`` that come again."""

    __slots__ = ()

    def __missing__(self, host: str) -> bool:
        valid = not host or _is_authority(host)
        if valid:
            self.offer(host, valid)
        return valid


_hosts: Final = _Hosts()


def valid_host(host: str) -> bool:
    """Return whether ``host`` is a valid value of ``Host``, which may be empty.

    A host of more than 255 bytes is not valid, the port apart.
    """
    return _hosts[host]


def split_host(host: str) -> tuple[str, str | None]:
    """Split a valid value of ``Host`` into the name, IPv6 in its brackets, and the port's digits.

    The port is None if there is no colon, and empty if nothing follows the colon.
    """
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and "]" not in port else (host, None)

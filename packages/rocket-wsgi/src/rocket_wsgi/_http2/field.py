"""One field of a head, checked once, however often HPACK refers to it (RFC 9113, section 8.2)."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from rocket_wsgi._repeat_cache import RepeatCache

OVERHEAD: Final = 32
"""The bytes that a field counts for beside its name and its value (RFC 7541, section 4.1)."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_BLANK: Final = " \t"
_LONGEST_NAME: Final = 64
"""The maximum length of a name that is remembered."""


class Role(Enum):
    """What a field means for the server. Pseudo-header fields come first (section 8.3)."""

    METHOD = ":method"
    SCHEME = ":scheme"
    AUTHORITY = ":authority"
    PATH = ":path"
    PROTOCOL = ":protocol"
    """RFC 8441, section 4."""
    COOKIE = "cookie"
    """It may come in crumbs (section 8.2.3)."""
    HOST = "host"
    LENGTH = "content-length"
    TYPE = "content-type"
    PRIORITY = "priority"
    """RFC 9218, section 5."""
    TE = "te"
    """Its only value is trailers (section 8.2.2)."""
    PLAIN = "any other"
    FORBIDDEN = "a field of HTTP/1.1, of a response, or malformed"

    __hash__ = object.__hash__


_PLAIN: Final = Role.PLAIN
_FORBIDDEN: Final = Role.FORBIDDEN
_TE: Final = Role.TE

PSEUDO: Final = frozenset({Role.METHOD, Role.SCHEME, Role.AUTHORITY, Role.PATH, Role.PROTOCOL})
"""The roles of pseudo-header fields."""

_FAULTS: Final = {
    **dict.fromkeys(
        ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"),
        "a field is about the connection",
    ),
    ":status": "a pseudo-header field is that of a response",
}


class _Roles(RepeatCache[str, Role]):
    """The roles of names: of those that mean something, and of others that come again."""

    __slots__ = ()

    def __missing__(self, name: str) -> Role:
        role = _SPECIAL.get(name)
        if role is None:
            role = _PLAIN if _NAME.match(name) else _FORBIDDEN
        if len(name) <= _LONGEST_NAME:
            self.offer(name, role)
        return role


_SPECIAL: Final[dict[str, Role]] = {
    **{role.value: role for role in Role if role not in (Role.PLAIN, Role.FORBIDDEN)},
    **dict.fromkeys(_FAULTS, Role.FORBIDDEN),
}
_roles: Final = _Roles()


class Field:
    """A field of a head or of trailers. Nothing changes it after the constructor.

    Attributes:
        name: the name, in lower case if the field is sound.
        value: the value, one character for each byte.
        size: the bytes it counts for in tables and lists.
        role: what it means.
        fault: what is wrong with it; empty if nothing is.
    """

    __slots__ = ("fault", "name", "role", "size", "value")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value
        self.size = len(name) + len(value) + OVERHEAD
        self.role = role = _roles[name]
        self.fault = ""
        if role is _FORBIDDEN:
            self.fault = _FAULTS.get(name) or _name_fault(name)
        elif value and (
            value[0] in _BLANK
            or value[-1] in _BLANK
            or not ((value.isascii() and value.isprintable()) or _VALUE.match(value))
        ):
            self.fault = "a field value has a forbidden character"
        elif role is _TE and value.lower() != "trailers":
            self.fault = "the field te is not trailers"


def _name_fault(name: str) -> str:
    if name.startswith(":"):
        return "a pseudo-header field is unknown"
    return "a field name is not a token in lower case"

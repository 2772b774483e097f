"""The priority of a response as its client wishes it (RFC 9218).

Priorities of RFC 7540 are read over, as RFC 9113 advises in section 5.3.2.
"""

from __future__ import annotations

import re
from typing import Final

DEFAULT_URGENCY: Final = 3
"""What a response has whose client says nothing (section 4.1)."""

LOWEST_URGENCY: Final = 7

_MEMBER: Final = re.compile(
    r"""
    ([a-z*][a-z0-9_.*-]*)                        # the key
    (?: = ( \?[01]                               # a boolean, an integer or decimal, a string,
          | -?[0-9]{1,15}(?:\.[0-9]{1,3})?       # a token, or bytes
          | "(?:[^"\\\x00-\x1f\x7f-\xff]|\\["\\])*"
          | [A-Za-z*][^\x00-\x20\x7f-\xff,;="(){}\[\]]*
          | :[A-Za-z0-9+/=]*: ) )?
    (?: ; \x20* [a-z*][a-z0-9_.*-]* (?: = [^\x00-\x20\x7f-\xff,;"]* )? )*   # parameters
    [ \t]* (?: , [ \t]* | \Z )
    """,
    re.VERBOSE,
)
"""A member of a dictionary of structured fields (RFC 9651, section 3.2), with its comma."""

_LONGEST: Final = 256
"""The maximum length of a value that is read: the usual ones have up to six characters."""


def parse_priority(value: str) -> tuple[int, bool]:
    """Return urgency and incremental of a ``priority`` field, by default for what it does not say.

    A value that is not a dictionary, and members that are unknown, are ignored (section 4).
    """
    urgency = DEFAULT_URGENCY
    incremental = False
    if len(value) > _LONGEST:
        return urgency, incremental
    value = value.strip(" ")
    position = 0
    while position < len(value):
        match = _MEMBER.match(value, position)
        if match is None or (match.end() == len(value) and match[0].rstrip(" \t").endswith(",")):
            return DEFAULT_URGENCY, False
        position = match.end()
        key, given = match[1], match[2]
        if key == "u":
            valid = given is not None and len(given) == 1 and given in "01234567"
            urgency = int(given) if valid else DEFAULT_URGENCY
        elif key == "i":
            incremental = given is None or given == "?1"
    return urgency, incremental

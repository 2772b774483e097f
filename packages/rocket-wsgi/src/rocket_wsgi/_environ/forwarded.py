"""The header field ``Forwarded`` (RFC 7239, section 4)."""

from __future__ import annotations

import re
from typing import Final

from rocket_core.http1 import HeadError

# No two neighbours match the same character, so time is linear in the length.
_PAIR: Final = re.compile(
    r"""
    [ \t]*
    (?:
        ([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=
        (?:
            ([!#$%&'*+\-.^_`|~0-9A-Za-z]+)
            | "((?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*)"
        )
        [ \t]*
    )?
    (;|,|\Z)
    """,
    re.VERBOSE,
)
_ESCAPED: Final = re.compile(r"\\(.)")

Element = dict[str, str]


def parse_forwarded(value: str) -> list[Element]:
    """The elements of a field value, each with its parameters by their lower-case names.

    Empty elements are left out. Raises `HeadError` with status 400.
    """
    elements: list[Element] = []
    element: Element = {}
    at = 0
    separator = None
    while separator != "":
        match = _PAIR.match(value, at)
        if match is None:
            raise HeadError(400, "the Forwarded header field is malformed")
        name, token, quoted, separator = match.groups()
        at = match.end()
        if name is not None:
            name = name.lower()
            if name in element:
                raise HeadError(400, "the Forwarded header field has a parameter twice")
            element[name] = token or _ESCAPED.sub(r"\1", quoted)
        if separator != ";" and element:
            elements.append(element)
            element = {}
    return elements

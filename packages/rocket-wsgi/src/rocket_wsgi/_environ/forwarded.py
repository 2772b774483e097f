"""The header field ``Forwarded`` (RFC 7239, section 4)."""

from __future__ import annotations

import re
from typing import Final

from rocket_core.http1 import HeadError
from rocket_wsgi._grammar import QUOTED, TOKEN

# No two neighbouring parts match the same character, so a match takes linear time.
_PAIR: Final = re.compile(
    rf"""
    [ \t]*
    (?:
        ({TOKEN})=
        (?:
            ({TOKEN})
            | "({QUOTED})"
        )
        [ \t]*
    )?
    (;|,|\Z)
    """,
    re.VERBOSE,
)
_ESCAPED: Final = re.compile(r"\\(.)")

Element = dict[str, str]
"""The parameters that one proxy has added, by their names in lower case."""


def parse_forwarded(value: str) -> list[Element]:
    """Parse a field value into its elements, in the order in which proxies have added them.

    Empty elements are left out. Raises `HeadError` with status 400 for a malformed value.
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

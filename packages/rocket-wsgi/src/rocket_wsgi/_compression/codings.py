"""The content codings that a client accepts (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from rocket_wsgi._grammar import TOKEN
from rocket_wsgi._repeat_cache import RepeatCache

_ELEMENT: Final = re.compile(
    rf"({TOKEN})(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?\Z"
)
_LONGEST: Final = 256
"""The maximum length of a value that is remembered, in characters."""


class Codings(RepeatCache[str, tuple[str, ...]]):
    """The codings that the server has, the one it likes best first.

    It is a cache: for each value of ``Accept-Encoding``, the codings that the client prefers to
    uncompressed content, best first. The client prefers a coding if its weight is at least the
    weight of ``identity``. If the client does not name ``identity``, every accepted coding is
    preferred. Malformed elements are ignored.
    """

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[str]) -> None:
        """Have the codings with these ``names`` of the registry (RFC 9110, section 8.4.1)."""
        super().__init__()
        self._names: Final = tuple(names)

    def __missing__(self, value: str) -> tuple[str, ...]:
        found = self._read(value)
        if len(value) <= _LONGEST:
            self.offer(value, found)
        return found

    def _read(self, value: str) -> tuple[str, ...]:
        weights: dict[str, float] = {}
        for element in value.split(","):
            match = _ELEMENT.match(element.strip(" \t"))
            if match is not None:
                coding = match[1].lower().removeprefix("x-")  # section 8.4.1.3
                weights[coding] = float(match[2]) if match[2] else 1.0
        others = weights.get("*", 0.0)
        plain = weights.get("identity", 0.0)
        wanted = {coding: weights.get(coding, others) for coding in self._names}
        better = [coding for coding, weight in wanted.items() if weight > 0 and weight >= plain]
        return tuple(sorted(better, key=lambda coding: -wanted[coding]))

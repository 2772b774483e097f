"""The content codings that a client accepts (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import re
from typing import Final

from rocket_wsgi._grammar import TOKEN
from rocket_wsgi._repeat_cache import RepeatCache

SUFFIXES: Final = {"br": ".br", "gzip": ".gz"}
"""The codings of precompressed files, the better compression first, and the suffixes of names."""

_ELEMENT: Final = re.compile(
    rf"({TOKEN})(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?\Z"
)
_LONGEST: Final = 256
"""The maximum length of a value that is remembered, in characters."""


class _Preferences(RepeatCache[str, tuple[str, ...]]):
    """The results of `preferred` by values of ``Accept-Encoding``."""

    __slots__ = ()

    def __missing__(self, value: str) -> tuple[str, ...]:
        found = _read(value)
        if len(value) <= _LONGEST:
            self.offer(value, found)
        return found


_preferences: Final = _Preferences()


def preferred(value: str) -> tuple[str, ...]:
    """Return the codings of `SUFFIXES` that the client prefers to an uncompressed file, best first.

    The client prefers a coding if its weight is at least the weight of ``identity``. If the client
    does not name ``identity``, every accepted coding is preferred. Malformed elements are ignored.
    """
    return _preferences[value]


def _read(value: str) -> tuple[str, ...]:
    weights: dict[str, float] = {}
    for element in value.split(","):
        match = _ELEMENT.match(element.strip(" \t"))
        if match is not None:
            coding = match[1].lower().removeprefix("x-")  # section 8.4.1.3
            weights[coding] = float(match[2]) if match[2] else 1.0
    others = weights.get("*", 0.0)
    plain = weights.get("identity", 0.0)
    wanted = {coding: weights.get(coding, others) for coding in SUFFIXES}
    better = [coding for coding, weight in wanted.items() if weight > 0 and weight >= plain]
    return tuple(sorted(better, key=lambda coding: -wanted[coding]))

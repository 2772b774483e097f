"""Ways to cut bytes into the pieces that are sent."""

from __future__ import annotations

import random
from collections.abc import Iterator

_SHORT = 1200
_EDGE = 150
_STEP = 997


def whole(data: bytes) -> list[bytes]:
    return [data]


def single_bytes(data: bytes) -> list[bytes]:
    """Cut into single bytes; long data only near its ends, and into longer pieces in between."""
    if len(data) <= _SHORT:
        return [data[at : at + 1] for at in range(len(data))]
    head, middle, tail = data[:_EDGE], data[_EDGE:-_EDGE], data[-_EDGE:]
    steps = [middle[at : at + _STEP] for at in range(0, len(middle), _STEP)]
    return [*single_bytes(head), *steps, *single_bytes(tail)]


def at_random(data: bytes, seed: str) -> list[bytes]:
    """Cut into a few pieces, always the same for the same seed."""
    dice = random.Random(seed)
    places = sorted(dice.randrange(len(data)) for _ in range(dice.randint(1, 8)))
    return list(between(data, places))


def places(data: bytes) -> list[int]:
    """Return the places to cut at, chosen by the last bytes of the data."""
    found: list[int] = []
    for step in data[-8:]:
        found.append((found[-1] if found else 0) + step % 61 + 1)
    return [place for place in found if place < len(data)]


def between(data: bytes, places: list[int]) -> Iterator[bytes]:
    """Cut at these places."""
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        if start < end:
            yield data[start:end]

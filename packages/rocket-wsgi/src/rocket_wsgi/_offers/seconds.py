"""Times that applications give."""

from __future__ import annotations

from math import isfinite


def check_seconds(name: str, seconds: float | None) -> None:
    """Raise `ValueError` unless ``seconds``, the argument ``name``, is a time or None."""
    if seconds is not None and not (isfinite(seconds) and seconds > 0):
        raise ValueError(f"{name} is {seconds!r}: give a number of seconds above 0, or None")

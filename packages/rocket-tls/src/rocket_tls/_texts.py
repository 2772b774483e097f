"""Dates and choices as messages show them."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TypeVar

_E = TypeVar("_E", bound=Enum)


def date_text(moment: datetime) -> str:
    """Return a moment in UTC to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def member_of(kind: type[_E], value: object) -> _E:
    """Return a member of an enum, given itself or by its value. Raises `ValueError`."""
    try:
        return kind(value)
    except ValueError:
        values = ", ".join(repr(each.value) for each in kind)
        raise ValueError(f"{value!r} is not one of {values}") from None

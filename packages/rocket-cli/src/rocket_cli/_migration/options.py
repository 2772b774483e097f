"""An option that a configuration sets, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Fate(Enum):
    """What becomes of an option. The value describes it in messages."""

    CARRIED = "carried over"
    NEEDLESS = "not needed"
    """The server does this by itself, or the reason for the option does not exist here."""
    LOST = "not carried over"


@dataclass(frozen=True, slots=True)
class Given:
    """An option that a configuration sets.

    Attributes:
        name: the name of the option, as the configuration spells it.
        value: its value, as that server reads it.
        place: where it is set, such as ``uwsgi.ini:7``.
    """

    name: str
    value: Any
    place: str

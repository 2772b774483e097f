"""What comes back when all processes are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers of all processes.

    Attributes:
        answers: one for each process that was asked, with its ``process`` and ``generation``; one
            that did not answer, or could not, has an ``error``.
        ended: what processes have counted that had ended when the others were asked.
    """

    answers: list[dict[str, Any]]
    ended: dict[str, Any] = field(default_factory=dict)

    @property
    def sound(self) -> list[dict[str, Any]]:
        """The answers without an error."""
        return [each for each in self.answers if "error" not in each]

    @property
    def failures(self) -> list[str]:
        """What went wrong, and where."""
        return [
            f"process {each['process']}: {each['error']}" if "process" in each else each["error"]
            for each in self.answers
            if "error" in each
        ]


class AskError(Exception):
    """The processes cannot be asked; the message says why."""


Ask = Callable[[str, Mapping[str, Any]], Reply]
"""Asks by name, with arguments. Any thread may call it; it waits, and raises `AskError`."""

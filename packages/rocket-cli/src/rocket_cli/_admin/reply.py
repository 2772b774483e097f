"""The answers of all processes to a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]
"""The answer of one process: a JSON object."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers of all processes.

    Attributes:
        answers: an answer for each process that was asked, with its ``process`` and ``generation``.
            The answer has an ``error`` if the process did not answer, or could not.
        ended: the counters of the processes that had ended when the others were asked.
    """

    answers: list[Answer]
    ended: dict[str, Any] = field(default_factory=dict)

    @property
    def sound(self) -> list[Answer]:
        """The answers without an error."""
        return [each for each in self.answers if "error" not in each]

    @property
    def failures(self) -> list[str]:
        """The errors in the answers, each with its process."""
        return [
            f"process {each['process']}: {each['error']}" if "process" in each else each["error"]
            for each in self.answers
            if "error" in each
        ]


class AskError(Exception):
    """The processes could not be asked; the message says why."""


Ask = Callable[[str, Mapping[str, Any]], Reply]
"""Asks a question by its name, with arguments, and waits for the reply.

Any thread may call it. It raises `AskError`."""

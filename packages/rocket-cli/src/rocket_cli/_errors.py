"""What the command reports instead of a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot do what it was asked.

    Its message is one line that names what is wrong and says what would be right. What caused it
    is its ``__cause__``.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))

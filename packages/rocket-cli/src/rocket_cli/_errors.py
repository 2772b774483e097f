"""What the command reports instead of a traceback."""

from __future__ import annotations

from typing import IO, Any

import click


class CommandError(click.ClickException):
    """The command cannot do what it was asked; it exits with code 2.

    Its message is one line that names what is wrong and says what would be right. What caused it
    is its ``__cause__``.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line, on standard error unless told otherwise."""
        click.echo(f"rocket-cli: error: {self.message}", file=file, err=file is None)


class BootError(CommandError):
    """A process that was started could not begin.

    Attributes:
        traceback: that of the error in that process, many lines; or empty.
    """

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback

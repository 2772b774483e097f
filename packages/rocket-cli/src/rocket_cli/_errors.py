"""The errors that the command reports in one line, without a traceback."""

from __future__ import annotations

from typing import IO, Any

import click


class CommandError(click.ClickException):
    """An error that ends the command with exit code 2.

    The message is one line that names what is wrong and says what would be right. The exception
    that caused the error is its ``__cause__``.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message to ``file``, by default to standard error."""
        click.echo(f"rocket-cli: error: {self.message}", file=file, err=file is None)


class BootError(CommandError):
    """A worker process could not start.

    Attributes:
        traceback: the traceback of the error in that process, many lines; or empty.
    """

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback

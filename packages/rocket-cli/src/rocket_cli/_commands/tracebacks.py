"""The traceback of an error that ends a command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import print_exception

from rocket_cli._errors import BootError, CommandError
from rocket_cli._settings.chosen import Chosen


@contextmanager
def traceback_for_debug(chosen: Chosen) -> Iterator[None]:
    """Print the traceback of a `CommandError` before it is reported, if the log level is debug."""
    try:
        yield
    except CommandError as error:
        if chosen["log-level"] == "debug":
            if isinstance(error, BootError):
                sys.stderr.write(error.traceback)
            else:
                print_exception(error.__cause__ or error, file=sys.stderr)
        raise

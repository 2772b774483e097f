"""Errors in the supervisor, which must not end a server that runs."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from rocket_cli._processes.channel import Message

_log = logging.getLogger("rocket_cli")


@contextmanager
def log_errors(doing: str) -> Iterator[None]:
    """Log an error of the block instead of raising it; ``doing`` says what the block does."""
    try:
        yield
    except Exception:  # noqa: BLE001 - no error may end a server that runs
        _log.exception("error while %s; the supervisor goes on", doing)


def failure_of(what: str, error: Exception) -> Message:
    """Return the message ``failed`` about ``error``, with its reason and traceback.

    ``what`` says what has failed, for errors that do not say it themselves.
    """
    match error:
        case click.ClickException():
            reason = error.format_message()
        case OSError(strerror=str(text)):
            reason = f"{what}: {text}" if error.filename is None else f"{what}: {error}"
        case _:
            reason = f"{what}: {type(error).__name__}: {error}"
    return {
        "event": "failed",
        "reason": " ".join(reason.splitlines()),
        "traceback": "".join(traceback.format_exception(error)),
    }

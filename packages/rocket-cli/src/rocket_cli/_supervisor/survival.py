"""What a process that must go on does about errors of its own."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from rocket_cli._processes.channel import Message

_log = logging.getLogger("rocket_cli")


@contextmanager
def survived(doing: str) -> Iterator[None]:
    """Go on after an error, which is logged as one of ``doing`` that."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever it is
        _log.exception("an error while %s; the supervisor goes on", doing)


def failure_of(what: str, error: Exception) -> Message:
    """Why ``what`` was given up, as processes say it: the reason and the traceback."""
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

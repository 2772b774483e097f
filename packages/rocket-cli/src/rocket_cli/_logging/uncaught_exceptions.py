"""Uncaught exceptions, which the interpreter would print on standard error, go to the log."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Final

from rocket_core.extending import FaultLog

_log = logging.getLogger("rocket_cli")

_LONGEST: Final = 200
"""The maximum number of characters of the description of an object."""

_faults: Final = FaultLog()


def log_uncaught_exceptions() -> None:
    """Log exceptions that no code can catch, and exceptions that end a thread.

    Hooks that the application sets, before or later, take precedence.
    """
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _log_unraisable
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_thread


def _log_unraisable(unraisable: sys.UnraisableHookArgs, /) -> None:
    error = unraisable.exc_value or unraisable.exc_type()
    what = unraisable.err_msg or "Exception ignored in"
    _faults.report(_log, error, "%s: %s", what, _describe(unraisable.object))


def _log_thread(args: threading.ExceptHookArgs, /) -> None:
    if issubclass(args.exc_type, SystemExit):
        return  # a thread may end itself that way
    name = "unknown" if args.thread is None else args.thread.name
    _faults.report(_log, args.exc_value or args.exc_type(), "thread %s ended with an error", name)


def _describe(thing: object) -> str:
    try:
        return repr(thing)[:_LONGEST]
    except Exception:  # noqa: BLE001 - the object may be partly destroyed
        return f"an object of class {type(thing).__name__}"

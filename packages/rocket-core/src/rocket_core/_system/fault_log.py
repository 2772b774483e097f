"""A log of tracebacks and stacks that clients can provoke, and that must not fill the log.

Any thread may report a fault. The decision whether a fault is logged in full is made under the
lock; the logging itself, which may wait for a disk, happens outside it. Hence the order in the log
is not guaranteed: 1. Thread A decides to log a traceback. 2. Thread B reports the same kind, and
logs its line "the traceback was logged before". 3. A logs the traceback.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from rocket_core._system.rare_log import PAUSE

if TYPE_CHECKING:
    from types import FrameType

_KINDS: Final = 64
"""The number of kinds that are told apart. Further kinds count as one."""

_LONGEST: Final = 200
"""The number of characters of an error's text in a line."""


class _Kind(NamedTuple):
    """A kind of fault: the type of the error, or the name of the function, and its place."""

    name: str
    file: str
    line: int


_OTHERS: Final = _Kind("", "", 0)


class FaultLog:
    """Logs each kind of fault in full once a minute, and every other time in one line.

    In full means with the traceback of an error, or the stack of a thread. At the level DEBUG
    nothing is left out.

    ``_lock`` guards ``_told``: when each kind was logged in full, and how often it was left out
    since.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[_Kind, tuple[float, int]] = {}

    def report(
        self, logger: logging.Logger, error: BaseException, message: str, *args: object
    ) -> None:
        """Log ``message % args`` at ERROR, with the traceback of ``error`` if it is due.

        Any thread may call this.
        """
        kind = _kind_of(error)
        left_out = self._left_out(kind, logger)
        if left_out is None:
            text = str(error).partition("\n")[0][:_LONGEST]
            message += ": %s: %s (%s, line %d; the traceback was logged before)"
            logger.error(message, *args, kind.name, text, kind.file, kind.line)
            return
        if left_out:
            message += " (tracebacks like this left out before: %d)"
            args = *args, left_out
        logger.error(message, *args, exc_info=error)

    def stack_of(self, logger: logging.Logger, ident: int | None) -> str:
        """The stack of the thread ``ident`` (`threading.Thread.ident`), or only its innermost line.

        The text is meant for a message at the end of a line. It is empty if the thread has ended.
        Any thread may call this.
        """
        frame = sys._current_frames().get(ident or 0)  # noqa: SLF001 - the only way
        if frame is None:
            return ""
        kind = _place_of(frame)
        left_out = self._left_out(kind, logger)
        if left_out is None:
            return f"{kind.file}, line {kind.line}, in {kind.name} (the stack was logged before)"
        before = f" (stacks like this left out before: {left_out})" if left_out else ""
        stack = "".join(traceback.format_stack(frame)).rstrip("\n")
        return f"{before}\n{stack}"

    def _left_out(self, kind: _Kind, logger: logging.Logger) -> int | None:
        """None if ``kind`` is to be left out; otherwise how often it has been left out before."""
        now = time.monotonic()
        with self._lock:
            if kind not in self._told and len(self._told) >= _KINDS:
                self._told = {k: v for k, v in self._told.items() if now - v[0] < PAUSE}
                if len(self._told) >= _KINDS:
                    kind = _OTHERS
            last, left_out = self._told.get(kind, (-inf, 0))
            if now - last >= PAUSE or logger.isEnabledFor(logging.DEBUG):
                self._told[kind] = now, 0
                return left_out
            self._told[kind] = last, left_out + 1
            return None


def _kind_of(error: BaseException) -> _Kind:
    name = type(error).__name__
    last = error.__traceback__
    if last is None:
        return _Kind(name, "", 0)
    while last.tb_next is not None:
        last = last.tb_next
    return _Kind(name, last.tb_frame.f_code.co_filename, last.tb_lineno)


def _place_of(frame: FrameType) -> _Kind:
    code = frame.f_code
    return _Kind(code.co_name, code.co_filename, frame.f_lineno or 0)

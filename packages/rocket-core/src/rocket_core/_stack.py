"""Where a thread is."""

from __future__ import annotations

import sys
import traceback


def stack_of(ident: int | None) -> str:
    """The stack of a thread by its number, many lines; empty for one that has ended."""
    frame = sys._current_frames().get(ident or 0)  # noqa: SLF001 - the only way
    return "" if frame is None else "".join(traceback.format_stack(frame))

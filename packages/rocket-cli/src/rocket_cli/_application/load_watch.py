"""Telling the operator that an application takes long to load, and where it is meanwhile."""

from __future__ import annotations

import importlib
import logging
import sys
import time
import traceback
from _thread import allocate_lock, get_ident, start_new_thread
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from rocket_cli._units import seconds

_log = logging.getLogger("rocket_cli")

PATIENCE: Final = 30.0
"""Seconds of loading before the first warning. Each further pause is twice as long."""

_IMPORT_SYSTEM: Final = ("<frozen importlib", importlib.__file__, str(Path(__file__).parent))
"""Where the files of frames begin that tell nothing about the application."""


class LoadWatch:
    """Logs a warning with the stack of the calling thread as long as the block has not ended.

    Loading the application may hang, in a connection to a database for example. A server that
    starts then serves nobody, and a reload does not end; without this, the log would say nothing.

    A thread watches, which has ended when the block has: the process may fork afterwards. The
    module `threading` is not used, because the application may replace what is in it (gevent).
    """

    def __init__(self, *, patience: float = PATIENCE) -> None:
        """Watch; ``patience`` is the time in seconds before the first warning."""
        self._patience = patience
        self._loading = allocate_lock()
        self._watching = allocate_lock()
        self._watched = get_ident()
        self._depth = _depth(sys._getframe(1))  # noqa: SLF001 - the only way
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._loading.acquire()
        self._watching.acquire()
        start_new_thread(self._watch, ())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loading.release()
        self._watching.acquire()

    def _watch(self) -> None:
        patience = self._patience
        while not self._loading.acquire(timeout=patience):
            _log.warning(
                "the application has not loaded after %s; until it has, the process serves "
                "nothing, and a reload is not complete. It is at:\n%s",
                seconds(time.monotonic() - self._began),
                self._stack(),
            )
            patience *= 2
        self._watching.release()

    def _stack(self) -> str:
        """Return the stack within the block, without the frames of the import system."""
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - the only way
        within = [] if frame is None else traceback.extract_stack(frame)[self._depth :]
        own = [each for each in within if not each.filename.startswith(_IMPORT_SYSTEM)]
        return "".join(traceback.format_list(own))


def _depth(frame: FrameType) -> int:
    return sum(1 for _ in traceback.walk_stack(frame))

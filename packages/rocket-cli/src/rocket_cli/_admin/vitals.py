"""The resources that a process uses, and how its interpreter runs."""

from __future__ import annotations

import errno
import os
import resource
import sys
import time
from pathlib import Path
from typing import Final

import rocket_core
import rocket_wsgi

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_SAMPLES: Final = 5
_SLEEP: Final = 0.001
"""Seconds: long enough for another thread to take the GIL meanwhile."""


def resident_bytes(process: int) -> int:
    """Return the resident memory of a process in bytes (proc_pid_statm(5)).

    The result is 0 for a process that has ended, and where the system does not tell.
    """
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def memory() -> int:
    """Return the resident memory of this process in bytes; its maximum so far if not on Linux."""
    return resident_bytes(os.getpid()) or _peak_bytes()


def _peak_bytes() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def descriptors() -> dict[str, int]:
    """Return how many descriptors this process has open, and how many it may have.

    The first is 0 where the system does not tell.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        # Without that of the directory itself.
        count = sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1
    except OSError as error:
        # To count them takes one itself.
        count = most if error.errno == errno.EMFILE else 0
    return {"open": count, "limit": most}


def build() -> str:
    """Return which build of rocket-core and rocket-wsgi runs: compiled, pure, or one of each."""
    match rocket_core.compiled, rocket_wsgi.compiled:
        case True, True:
            return "compiled"
        case False, False:
            return "pure"
    return "mixed"


def gil_enabled() -> bool:
    """Return whether only one thread at a time runs Python code (PEP 703)."""
    enabled: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    return enabled


def gil_wait() -> float:
    """Return for how many seconds a thread waits for the GIL before it continues, on average.

    A few short sleeps are measured: the time by which they last too long is the wait, plus the
    delay of the operating system, about 0.1 ms. Without the GIL only that delay is left.
    """
    late = 0.0
    for _ in range(_SAMPLES):
        began = time.perf_counter()
        time.sleep(_SLEEP)
        late += max(time.perf_counter() - began - _SLEEP, 0.0)
    return late / _SAMPLES

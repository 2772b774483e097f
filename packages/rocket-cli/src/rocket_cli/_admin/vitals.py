"""What a process uses, and how long its threads wait for the interpreter."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from typing import Final

_SAMPLES: Final = 5
_SLEEP: Final = 0.001
"""Seconds: long enough for another thread to take the interpreter meanwhile."""

_STATUS: Final = Path("/proc/self/statm")


def memory() -> int:
    """Bytes of this process that are in memory; where nobody knows, the most there ever were."""
    try:
        pages = int(_STATUS.read_text(encoding="ascii").split()[1])
    except OSError:  # not Linux
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def gil_wait() -> float:
    """Seconds that a thread waits for the GIL when it wants to go on, on average.

    Measured now, by a few short sleeps: what they last too long is the wait, and the lateness of
    the system, a tenth of a millisecond or so. Without the GIL only that is left.
    """
    late = 0.0
    for _ in range(_SAMPLES):
        began = time.perf_counter()
        time.sleep(_SLEEP)
        late += max(time.perf_counter() - began - _SLEEP, 0.0)
    return late / _SAMPLES

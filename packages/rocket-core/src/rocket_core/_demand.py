"""Whether another worker would help, or one fewer.

Work that waits has one of two reasons. If the workers wait for something else, a database or a
disk, another one serves it meanwhile. If they compute, another one only takes turns with them on
the same processor, and everybody pays for the turns.

The processor time of the process tells which it is; and where others use the processors as well,
how its threads lose theirs. One that waits for something goes to sleep; one that computes is
displaced by another.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from rocket_core._cores import usable_cores

_BUSY: Final = 0.5
"""Share of the usable processor time above which the workers compute."""

_CONVICTION: Final = 3
"""Looks that find idle processors and waiting work before workers are called eagerly: the system
may just have held the process up."""

_RECENT: Final = 1.0
"""Seconds within which they do, and none finds busy ones. They need not follow each other: a worker
that was called ends the waiting, until the next one goes away."""

_PATIENCE: Final = 5
"""Looks in a row at stuck work after which a computing pool, too, gets another worker: a long
computation must not keep short ones waiting."""


class Verdict(Enum):
    """What the pool should do."""

    NOTHING = "nothing"
    CALL = "call another worker"
    CALL_EAGERLY = "call another, and from now on before work has waited"
    DISMISS = "let one worker sleep"


class Usage(NamedTuple):
    """What the process has used of the processors so far.

    Attributes:
        at: when this was measured, by `time.monotonic`.
        computed: seconds of processor time.
        slept: how often a thread left its processor to wait for something.
        displaced: how often one lost it that would have gone on.
    """

    at: float
    computed: float
    slept: int
    displaced: int


if sys.platform == "win32":  # pragma: no cover - Windows

    def usage() -> Usage:
        """Measure this process, of whose threads the system does not tell how they go to sleep."""
        return Usage(time.monotonic(), time.process_time(), 0, 0)

else:
    import resource

    def usage() -> Usage:
        """Measure this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        computed = used.ru_utime + used.ru_stime
        return Usage(time.monotonic(), computed, used.ru_nvcsw, used.ru_nivcsw)


class Demand:
    """Judges, look by look, what the pool's state says. Used by one thread."""

    def __init__(self, measure: Callable[[], Usage] = usage) -> None:
        self._cores = usable_cores()
        self._measure = measure
        self._last = measure()
        self._stuck_looks = 0
        self._idle_looks: deque[float] = deque(maxlen=_CONVICTION)

    def look(self, *, waits: bool, stuck: bool) -> Verdict:
        """Judge the time since the last look.

        ``waits`` says that ready work has waited, or nobody polled, for the length of a look;
        ``stuck`` that nothing moved at all meanwhile.
        """
        last, now = self._last, self._measure()
        self._last = now
        elapsed = max(now.at - last.at, 1e-6)
        busy = (now.computed - last.computed) / elapsed / self._cores > _BUSY
        # Their share of the processors may be small because others have the rest.
        busy = busy or now.displaced - last.displaced > now.slept - last.slept
        self._stuck_looks = self._stuck_looks + 1 if stuck else 0
        if busy:
            self._idle_looks.clear()
            if self._stuck_looks < _PATIENCE:
                return Verdict.NOTHING if stuck else Verdict.DISMISS
            self._stuck_looks = 0
            return Verdict.CALL
        if waits:
            self._idle_looks.append(now.at)
            if len(self._idle_looks) == _CONVICTION and now.at - self._idle_looks[0] <= _RECENT:
                return Verdict.CALL_EAGERLY
        return Verdict.CALL if waits or stuck else Verdict.NOTHING

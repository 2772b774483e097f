"""Whether another worker would help, or one fewer.

Work that waits has one of two reasons. If the workers wait for something else, a database or a
disk, another one serves it meanwhile. If they compute, another one only takes turns with them on
the same processor, and everybody pays for the turns. The processor time of the process tells.
"""

from __future__ import annotations

import time
from enum import Enum
from typing import Final

from rocket_core._cores import usable_cores

_BUSY: Final = 0.5
"""Share of the usable processor time above which the workers compute."""

_CONVICTION: Final = 3
"""Looks in a row that find idle processors and waiting work before workers are called eagerly: the
system may just have held the process up."""

_PATIENCE: Final = 5
"""Looks in a row at stuck work after which a computing pool, too, gets another worker: a long
computation must not keep short ones waiting."""


class Verdict(Enum):
    """What the pool should do."""

    NOTHING = "nothing"
    CALL = "call another worker"
    CALL_EAGERLY = "call another, and from now on before work has waited"
    DISMISS = "let one worker sleep"


class Demand:
    """Judges, look by look, what the pool's state says. Used by one thread."""

    def __init__(self) -> None:
        self._cores = usable_cores()
        self._looked = time.monotonic()
        self._computed = time.process_time()
        self._stuck_looks = 0
        self._idle_looks = 0

    def look(self, *, waits: bool, stuck: bool) -> Verdict:
        """Judge the time since the last look.

        ``waits`` says that ready work has waited, or nobody polled, for the length of a look;
        ``stuck`` that nothing moved at all meanwhile.
        """
        now, computed = time.monotonic(), time.process_time()
        elapsed = max(now - self._looked, 1e-6)
        busy = (computed - self._computed) / elapsed / self._cores > _BUSY
        self._looked, self._computed = now, computed
        self._stuck_looks = self._stuck_looks + 1 if stuck else 0
        self._idle_looks = self._idle_looks + 1 if waits and not busy else 0
        if busy:
            if self._stuck_looks < _PATIENCE:
                return Verdict.NOTHING if stuck else Verdict.DISMISS
            self._stuck_looks = 0
            return Verdict.CALL
        if self._idle_looks >= _CONVICTION:
            return Verdict.CALL_EAGERLY
        return Verdict.CALL if waits or stuck else Verdict.NOTHING

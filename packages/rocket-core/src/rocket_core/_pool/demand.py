"""Tells whether one more worker would help, or one fewer.

Work waits for one of two reasons. If the workers wait for something else, a database or a disk, one
more worker serves it meanwhile. If they compute, one more worker only takes turns with them on the
same processor, and every request pays for the turns.

The processor time of the process tells which it is. Where other processes use the processors as
well, the way in which the threads lose theirs tells it: a thread that waits for something goes to
sleep; a thread that computes is displaced by another.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from rocket_core._native_classes import mypyc_attr
from rocket_core._system.usable_cores import usable_cores

_BUSY: Final = 0.9
"""Share of the usable processor time above which the workers compute."""

_CONVICTION: Final = 3
"""Looks that find idle processors and waiting work before workers are called eagerly: at one look,
the system may just have held the process up."""

_RECENT: Final = 1.0
"""Seconds within which these looks happen, and none finds busy processors. They need not follow
each other: a worker that was called ends the waiting, until the next worker goes away."""

_PATIENCE: Final = 5
"""Looks in a row at stuck work after which a computing pool, too, gets another worker: a long
computation must not keep short ones waiting."""

_REGRET: Final = 0.05
"""Seconds within which work that waits shows that a worker should not have been dismissed."""

_REGRETS: Final = 3
"""Dismissals in a row that were wrong, after which no worker is dismissed for a while."""

_FIRST_PAUSE: Final = 0.1
"""Seconds for which no worker is dismissed then, at first."""

_LONGEST_PAUSE: Final = 5.0
"""Seconds for which no worker is dismissed then, after that has come again and again."""


class Verdict(Enum):
    """What the pool should do."""

    NOTHING = "nothing"
    CALL = "call another worker"
    CALL_EAGERLY = "call another worker, and from now on before work has waited"
    DISMISS = "let one worker sleep"


class Usage(NamedTuple):
    """What the process has used of the processors so far.

    Attributes:
        at: when this was measured, by `time.monotonic`.
        computed: seconds of processor time.
        slept: how often a thread left its processor to wait for something.
        displaced: how often a thread that would have gone on lost its processor.
    """

    at: float
    computed: float
    slept: int
    displaced: int


if sys.platform == "win32":  # pragma: no cover - Windows

    def usage() -> Usage:
        """Measure this process; the system does not tell how its threads go to sleep."""
        return Usage(time.monotonic(), time.process_time(), 0, 0)

else:
    import resource

    def usage() -> Usage:
        """Measure this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        computed = used.ru_utime + used.ru_stime
        return Usage(time.monotonic(), computed, used.ru_nvcsw, used.ru_nivcsw)


@mypyc_attr(allow_interpreted_subclasses=True)
class Demand:
    """Judges, look by look, what the pool needs. Used by the Monitor's thread alone.

    Workers that compute for most of their time, and wait for the rest, serve more when there is one
    more of them, which cannot be seen while there is. So a worker is dismissed for a trial.
    """

    def __init__(self, measure: Callable[[], Usage] = usage) -> None:
        self._cores = usable_cores()
        self._measure = measure
        self._last = measure()
        self._stuck_looks = 0
        self._idle_looks: deque[float] = deque(maxlen=_CONVICTION)
        self._trial: float | None = None
        """When a worker was last dismissed, while it is not known whether rightly."""
        self._regrets = 0
        self._pause = _FIRST_PAUSE
        self._paused_until = -inf

    def look(self, *, waits: bool, stuck: bool, spare: bool) -> Verdict:
        """Judge the time since the last look.

        Args:
            waits: ready work has waited, or no worker polled, for the length of a look.
            stuck: nothing moved at all meanwhile.
            spare: there are workers that can be dismissed.
        """
        last, now = self._last, self._measure()
        self._last = now
        elapsed = max(now.at - last.at, 1e-6)
        busy = (now.computed - last.computed) / elapsed / self._cores > _BUSY
        # Their share of the processors may be small because others have the rest.
        busy = busy or now.displaced - last.displaced > now.slept - last.slept
        self._stuck_looks = self._stuck_looks + 1 if stuck else 0
        self._judge_trial(now.at, missed=waits and not busy)
        if busy:
            return self._judge_busy(now.at, stuck=stuck, spare=spare)
        if waits:
            self._idle_looks.append(now.at)
            if len(self._idle_looks) == _CONVICTION and now.at - self._idle_looks[0] <= _RECENT:
                return Verdict.CALL_EAGERLY
        return Verdict.CALL if waits or stuck else Verdict.NOTHING

    def _judge_trial(self, now: float, *, missed: bool) -> None:
        if self._trial is None:
            return
        if now - self._trial > _REGRET:
            self._trial = None
            self._regrets = 0
            self._pause = _FIRST_PAUSE
        elif missed:
            self._trial = None
            self._regrets += 1
            if self._regrets >= _REGRETS:
                self._paused_until = now + self._pause
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _judge_busy(self, now: float, *, stuck: bool, spare: bool) -> Verdict:
        self._idle_looks.clear()
        if self._stuck_looks >= _PATIENCE:
            self._stuck_looks = 0
            return Verdict.CALL
        if stuck or now < self._paused_until:
            return Verdict.NOTHING
        if spare:
            self._trial = now
        return Verdict.DISMISS

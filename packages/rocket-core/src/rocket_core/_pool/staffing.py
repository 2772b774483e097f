"""Decides whether the pool calls another worker or lets one sleep, from what is seen of it.

The Monitor's thread looks at a busy pool every few milliseconds. `ThreadPool.observe` writes down
what it sees, under the lock of the pool; `Staffing.judge` judges that without the lock, which the
workers need meanwhile; `ThreadPool.tend` then takes the lock again and carries the decision out, as
far as it can still be carried out. What has changed in between makes a decision late, never wrong
for long: the next look follows.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from rocket_core._pool.demand import Demand, Verdict

if TYPE_CHECKING:
    from rocket_core._exchange import Exchange

LOOK: Final = 0.003
"""Seconds between looks at a busy pool: how long ready work waits before another worker comes."""

EAGER_REQUESTS: Final = 5000
"""Requests for which the next worker is called before, not after, work has waited."""

ABSENCE: Final = 0.001
"""Seconds of a request after which the worker that polled before is not expected back at once."""

BLINDNESS: Final = 0.1
"""Seconds without a thread that polls after which the Monitor's thread does: some of what arrives
needs no worker."""

_CALM_LOOKS: Final = 8
"""Looks in a row that find as few workers as can be computing, after which looks may be rarer."""

_CALLS: Final = frozenset({Verdict.CALL, Verdict.CALL_EAGERLY})


class Care(Enum):
    """What a pool needs from the thread that tends it."""

    NOTHING = "nothing: a worker polls, and nothing waits"
    LOOK = "another look soon"
    RARE_LOOK = "another look, less soon"
    POLL = "one poll, since workers have had no time for it for long"
    STAND_IN = "polls until a worker is back, since all workers are away"


class Snapshot(NamedTuple):
    """What is seen of a pool at one moment.

    Attributes:
        now: that moment, by `time.monotonic`.
        head: the first exchange of the queue, and since when it is ready; None: the queue is empty.
        polling: whether a worker polls the Monitor.
        polls: how often a worker has begun to poll so far.
        left_at: when the last worker that polled went away to serve, by `time.monotonic`.
        awake: how many workers are neither asleep nor away, those included that were called.
        called: how many workers were woken or started, and have not had a processor since.
    """

    now: float
    head: tuple[Exchange, float] | None
    polling: bool
    polls: int
    left_at: float
    awake: int
    called: int


class Decision(NamedTuple):
    """What is to be done about a pool.

    Attributes:
        care: what it needs next from the thread that tends it; where a worker is to be called and
            cannot be, that is `Care.STAND_IN` unless a worker polls.
        call: whether to call another worker.
        dismiss: whether the next worker that runs out of work is to sleep; None: as before.
        eager: for how many requests a worker is to be called before work has waited; None: as
            before.
    """

    care: Care
    call: bool = False
    dismiss: bool | None = None
    eager: int | None = None


class Staffing:
    """Judges a pool, look by look. Only the Monitor's thread uses it, so it needs no lock."""

    def __init__(self, pollers: int, demand: Demand | None = None) -> None:
        """Judge a pool of which up to ``pollers`` workers look for work at a time."""
        self._pollers = pollers
        self._demand = Demand() if demand is None else demand
        self._last_head: tuple[int, float] | None = None
        """The identity of the exchange, which is not kept alive here until the next look."""
        self._last_polls = 0
        self._calm_looks = 0
        self._polled_at = 0.0
        """When it was last known that a worker polled."""

    def judge(self, seen: Snapshot) -> Decision:
        """Judge what has happened since the last look."""
        polled = seen.polling or seen.polls != self._last_polls or seen.now - seen.left_at < ABSENCE
        # While there is a queue, whatever arrives comes behind it.
        head = None if seen.head is None else (id(seen.head[0]), seen.head[1])
        stuck = not polled if head is None else head == self._last_head
        waits = not polled or (seen.head is not None and seen.now - seen.head[1] > LOOK)
        self._last_polls = seen.polls
        self._last_head = head
        if polled:
            self._polled_at = seen.now
        # 1. Work waits, and a worker is called. 2. On a busy machine the worker does not get a
        # processor before the next look. 3. The same work still waits: that says nothing of whether
        # one more worker would help, since the first one has not been able to.
        waits = waits and not seen.called
        spare = seen.awake > self._pollers
        verdict = self._demand.look(waits=waits, stuck=stuck, spare=spare)
        calm = verdict is Verdict.DISMISS and not spare
        self._calm_looks = self._calm_looks + 1 if calm else 0
        if verdict is Verdict.DISMISS:
            return Decision(self._care(seen), dismiss=spare, eager=0)
        if verdict not in _CALLS:
            return Decision(self._care(seen))
        if seen.called:
            return Decision(self._care(seen), dismiss=False)
        eager = EAGER_REQUESTS if verdict is Verdict.CALL_EAGERLY else None
        return Decision(Care.LOOK, call=True, dismiss=False, eager=eager)

    def _care(self, seen: Snapshot) -> Care:
        """Return what a pool needs for which no worker is called."""
        if seen.head is None and seen.polling:
            return Care.NOTHING
        if seen.now - self._polled_at > BLINDNESS:
            self._polled_at = seen.now
            return Care.POLL
        return Care.LOOK if self._calm_looks < _CALM_LOOKS else Care.RARE_LOOK

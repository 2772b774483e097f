"""The threads that serve, and how few of them are awake at a time.

A worker that runs out of work polls the Monitor itself and serves what it claims; the others sleep.
Handing a request from one thread to another costs more than parsing it, so that happens only when
the thread that would serve it is away in the application.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_core._connection.connection import Connection
from rocket_core._engine.engine import Engine
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.statistics import Activity, Counters, Tally
from rocket_core._engine.worker import Worker, retire
from rocket_core._pool.absences import MAX_STALLED, MAX_UPGRADED, Absences
from rocket_core._pool.demand import Demand, Verdict
from rocket_core._pool.urgent_lanes import LONG_WAIT, Lane, UrgentLanes
from rocket_core._state import OWNERS, Owner, State
from rocket_core._system.fault_log import FaultLog
from rocket_core._system.usable_cores import usable_cores

if TYPE_CHECKING:
    from rocket_core._exchange import Exchange, TakenOver
    from rocket_core._lease import Lease

_log = logging.getLogger("rocket_core.pool")
_faults: Final = FaultLog()

MAX_QUEUE: Final = 2048
"""Ready connections that wait while all workers are busy, before others are refused."""

QUEUE_TIMEOUT: Final = 60.0
"""Seconds that a ready connection waits while all workers are busy, before it is refused."""

GROW_PAUSE: Final = 0.5
"""Seconds between attempts to make another worker when one has failed."""

IDLE_RETIREMENT: Final = 30.0
"""Seconds of sleep after which a thread beyond ``min_threads`` ends. What it has opened, such as a
connection to a database, is of use until then."""

EAGER_REQUESTS: Final = 5000
"""Requests for which the next worker is called before, not after, work has waited."""

_CALLS: Final = frozenset({Verdict.CALL, Verdict.CALL_EAGERLY})

LOOK: Final = 0.003
"""Seconds between looks at a busy pool: how long ready work waits before another worker comes."""

_ABSENCE: Final = 0.001
"""Seconds of a request after which the worker that polled before is not expected back at once."""

_BLINDNESS: Final = 0.1
"""Seconds without anybody who polls after which the Monitor's thread does: some requests need no
worker."""

_CALM_LOOKS: Final = 8
"""Looks in a row that find as few workers as can be computing, after which looks may be rarer."""


class Care(Enum):
    """What a pool needs from who tends it."""

    NOTHING = "nothing: somebody polls, and nothing waits"
    LOOK = "another look soon"
    RARE_LOOK = "another look, less soon"
    POLL = "somebody who polls once, since workers have long had no time for it"
    STAND_IN = "somebody who polls, since all workers are away"


class _Role(Enum):
    """What a worker that has nothing to serve does."""

    SERVE = "look for ready work again"
    POLL = "poll the Monitor"
    SLEEP = "sleep"
    LEAVE = "end"


class _Seat:
    """One thread of the pool, the lock it sleeps on, and what it does."""

    __slots__ = ("busy", "now", "thread", "wake", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.busy: tuple[Connection, float] | None = None
        """The connection it receives from or serves, and since when by `time.monotonic`."""
        self.now = 0.0
        """When it last looked at the clock."""
        self.wake = threading.Lock()
        self.wake.acquire()
        self.thread: threading.Thread | None = None


class ThreadPool:
    """``min_threads`` to ``max_threads`` workers over the queue of ready connections.

    No more than ``max_threads`` are awake, besides those that are away (`Absences`). A worker that
    comes back and is one too many sleeps as a spare, until another goes away or `IDLE_RETIREMENT`
    is over.

    ``_lock`` guards the seats, those who leave, the sleepers, the numbers of threads and pollers,
    the limits of the former, the absences, ``_left_at``, ``_eager``, ``_dismissing``, ``_excess``
    and ``_guarded``. The queue itself needs none: a connection is put into it before the lock is
    taken to look for sleepers, and a worker looks into it again, with the lock, before it sleeps.
    """

    def __init__(
        self,
        monitor: Monitor,
        phases: Engine,
        factory: Callable[[], Worker],
        tally: Tally,
        *,
        min_threads: int,
        max_threads: int,
        max_stalled: int = MAX_STALLED,
        max_upgraded: int = MAX_UPGRADED,
        max_queue: int = MAX_QUEUE,
        queue_timeout: float = QUEUE_TIMEOUT,
        alert: Callable[[], None],
    ) -> None:
        """``alert`` is called when the last poller leaves with work and nobody tends the pool."""
        self._monitor = monitor
        self._phases = phases
        self._factory = factory
        self._tally = tally
        self._min = min_threads
        self._max = max_threads
        self._max_queue = max_queue
        self._queue_timeout = queue_timeout
        self._alert = alert
        self._reserve = UrgentLanes(phases, factory, tally, self.submit)
        self._pollers = usable_cores()
        self._demand = Demand()
        self._eager = 0
        self._dismissing = False
        self._excess = 0
        """How many threads are to end at once, since the pool was resized."""
        self._ready: deque[Connection] = deque()
        self._lock = threading.Lock()
        self._seats: set[_Seat] = set()
        self._leaving: list[threading.Thread] = []
        self._sleepers: list[_Seat] = []
        self._polling = 0
        self._polls = 0
        self._left_at = 0.0
        """When the last one who polled went away to serve, by `time.monotonic`."""
        self._polled_at = 0.0
        """When it was last known that somebody polled."""
        self._absences = Absences(max_stalled, max_upgraded)
        self._guarded = False
        self._stopping = False
        self._last_head: tuple[Connection, float] | None = None
        self._last_polls = 0
        self._calm_looks = 0
        self._names = 0
        self._grow_after = 0.0
        self.watched = False
        """Whether the Monitor's thread must know what every seat does."""

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start ``min_threads`` threads."""
        with self._lock:
            for _ in range(self._min):
                self._grow()
            short = len(self._seats) < self._min
        if short:
            self._alert()

    def stop(self) -> None:
        """Have every thread end after what it is doing. Returns at once."""
        with self._lock:
            self._stopping = True
            for seat in self._sleepers:
                seat.wake.release()
            self._sleepers.clear()
        self._monitor.wake()
        self._reserve.stop()

    def let_go(self) -> None:
        """In a process that the application forked: have the thread that came along end.

        It does if the application returns from its request there. Other threads may have held the
        locks, and are not there to release them.
        """
        self._lock = threading.Lock()
        self._stopping = True
        self._reserve.let_go()

    def join(self, timeout: float) -> list[str]:
        """Wait up to ``timeout`` seconds; the names of the threads that have not ended."""
        until = time.monotonic() + timeout
        with self._lock:
            threads = [seat.thread for seat in self._seats if seat.thread is not None]
            threads += self._leaving
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0))
        stuck = [thread.name for thread in threads if thread.is_alive()]
        return stuck + self._reserve.join(max(until - time.monotonic(), 0))

    def resize(self, min_threads: int, max_threads: int) -> None:
        """Have ``min_threads`` to ``max_threads`` workers from now on. Any thread may call this.

        Those who are too many end when they have nothing to do, one by one.
        """
        with self._lock:
            self._min, self._max = min_threads, max_threads
            while self._present < min_threads and self._grow():
                pass
            short = self._present < min_threads and not self._stopping
            self._excess = max(self._present - max_threads, 0)
            # Who slept for ever may have to end by and by, and the other way round.
            while self._sleepers:
                self._sleepers.pop().wake.release()
        self._monitor.wake()
        if short:
            self._alert()

    def abandoned(self) -> list[Connection]:
        """Take what waits for a worker; the caller owns it now."""
        claimed = self._reserve.abandoned()
        with suppress(IndexError):
            while True:  # one by one, since threads may take from it meanwhile
                claimed.append(self._ready.popleft())
        return claimed

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return len(self._seats)

    @property
    def waiting(self) -> int:
        """How many ready connections wait for a worker."""
        return len(self._ready)

    @property
    def stalls(self) -> int:
        """How many workers wait for their client, or will not come back soon."""
        return len(self._absences)

    def activities(self) -> list[Activity]:
        """What each thread does now, those beside the pool included, the longest first."""
        found = []
        threads: list[_Seat | Lane] = [*self._seats, *self._reserve.lanes]
        for each in threads:
            busy, thread = each.busy, each.thread
            if thread is None:
                continue
            activity = Activity(thread.name, thread.ident, thread.native_id, None, 0.0, None, "")
            if busy is not None:
                connection, since = busy
                activity = replace(
                    activity,
                    peer=connection.peer,
                    since=since,
                    state=connection.state,
                    doing=each.worker.doing() if _is_served(connection) else "",
                )
            found.append(activity)
        return sorted(found, key=lambda each: (each.peer is None, each.since))

    @property
    def _present(self) -> int:
        """How many threads are not away, asleep or awake."""
        return len(self._seats) - self._absences.replaced

    @property
    def _awake(self) -> int:
        """How many of them are awake; more than ``max_threads`` when some have just come back."""
        return self._present - len(self._sleepers)

    def _grow(self) -> bool:
        """With the lock: start a thread if one more is allowed."""
        if self._stopping or self._awake >= self._max:
            return False
        if time.monotonic() < self._grow_after:
            return False
        try:
            worker = self._factory()
        except Exception as error:  # noqa: BLE001 - of the protocol's making
            _faults.report(_log, error, "cannot make another worker")
            self._grow_after = time.monotonic() + GROW_PAUSE
            return False
        seat = _Seat(worker)
        self._names += 1
        seat.thread = threading.Thread(
            target=self._run, args=(seat,), name=f"rocket-worker-{self._names}", daemon=True
        )
        self._seats.add(seat)
        try:
            seat.thread.start()
        except RuntimeError as error:
            self._seats.discard(seat)
            _log.error("cannot start another worker: %s", error)
            self._grow_after = time.monotonic() + GROW_PAUSE
            return False
        return True

    # -- work from elsewhere -------------------------------------------------------------------

    def submit(self, connection: Connection) -> None:
        """Queue a connection for a worker, and see to it that one comes."""
        self._ready.append(connection)
        with self._lock:
            woken = self._wake_sleeper()
            if not woken and self._polling:
                self._monitor.wake()
            # 1. The only worker that polls returns with nothing. 2. The connection is queued.
            # 3. The worker finds it, and is away: the Monitor's thread must take over.
            alert = not woken and not self._polling and not self._guarded
        if alert:
            self._alert()

    def welcome(self, connection: Connection) -> None:
        """Take a connection that has just begun.

        A worker that polls hears of its first bytes. While none does, one will look for work soon,
        and may find them there already; to be told would cost another system call.
        """
        with self._lock:
            queued = self._guarded and not self._polling
            if queued:
                connection.claimed_at = time.monotonic()
                self._ready.append(connection)
        if not queued:
            self._monitor.park(connection)

    def stand_in(
        self, connections: Iterable[Connection], worker: Worker, counters: Counters
    ) -> None:
        """Do for claimed connections what needs no worker, and queue the rest.

        Called by the Monitor's thread, when the workers are away or have long not polled.
        """
        for connection in connections:
            self._queue(connection, worker, counters, waiting=len(self._ready))
        self._offer()

    def sweep(self, worker: Worker, counters: Counters) -> None:
        """`stand_in` for all that workers have claimed and not begun with."""
        waiting = 0  # those behind may have sent nothing yet
        count = len(self._ready)
        crowded = count >= self._max_queue  # a client that has left must not keep others out
        now = time.monotonic()
        for connection in self._take(count):
            if (
                crowded
                and connection.state is State.READY
                and now - connection.claimed_at > LONG_WAIT
                and self._phases.left(connection, worker, counters)
            ):
                continue
            waiting += self._queue(connection, worker, counters, waiting=waiting)
        self._offer()

    def _take(self, count: int) -> Iterator[Connection]:
        with suppress(IndexError):  # workers take from it meanwhile
            for _ in range(count):
                yield self._ready.popleft()

    def _queue(
        self, connection: Connection, worker: Worker, counters: Counters, *, waiting: int
    ) -> bool:
        """Do what needs no worker, and queue a connection that needs one; whether it does.

        ``waiting`` says how many do so before it.
        """
        if not self._phases.advance(connection, worker, counters):
            return False
        late = time.monotonic() - connection.claimed_at > self._queue_timeout
        urgent = self._phases.is_urgent(connection, worker, counters)
        if urgent is None or (urgent and not late and self._reserve.submit(connection)):
            return False
        if late or waiting >= self._max_queue:
            self._phases.refuse(connection, worker, counters)
            return False
        self._ready.append(connection)
        return True

    def _offer(self) -> None:
        """See to it that a worker finds what was taken from the queue and put back."""
        with self._lock:
            if self._ready and self._polling:
                self._monitor.wake()
            elif self._ready and len(self._sleepers) == len(self._seats):
                self._wake_sleeper()

    def _wake_sleeper(self) -> bool:
        """With the lock: wake the worker that fell asleep last, whose caches are warmest.

        None where enough are awake. Those that fell asleep first get to sleep until they end.
        """
        if not self._sleepers or self._awake >= self._max:
            return False
        self._sleepers.pop().wake.release()
        return True

    def _call_another(self) -> bool:
        """With the lock: get one more worker to look for work."""
        return self._wake_sleeper() or self._grow()

    @contextmanager
    def stalled(self, exchange: Exchange) -> Iterator[None]:
        """Entered by a worker while it waits for its client; another takes its place."""
        now = time.monotonic()
        with self._lock:
            self._absences.stall(exchange, now)
            if self._ready:
                self._absences.relieve(now, len(self._ready))
            self._fill_in()
        lease = exchange.lease
        if lease is not None:
            lease.wait(now)
        try:
            yield
        finally:
            if lease is not None:
                lease.resume(time.monotonic())
            with self._lock:
                self._absences.resume(exchange)
                self._take_in()

    def _fill_in(self) -> None:
        """With the lock: a worker has gone away, and another takes its place where it is missed."""
        if self._ready or not self._polling:
            self._call_another()

    def _take_in(self) -> None:
        """With the lock: a worker has come back, and one that is too many is to go to sleep."""
        if self._awake > self._max:
            self._dismissing = True

    def replace(self, lease: Lease) -> bool:
        """Have another worker take the place of one that will not come back soon.

        ``lease`` is that of its request. False when too many are replaced already.
        """
        with self._lock:
            if not self._absences.replace(lease):
                return False
            self._fill_in()
            return True

    def returned(self, lease: Lease) -> None:
        """The worker with the request of ``lease``, replaced or not, is done with it."""
        with self._lock:
            self._absences.returned(lease)
            self._take_in()

    def upgrade(self, taken: TakenOver) -> bool:
        """Have another worker take the place of one whose application takes a connection over.

        False when too many connections are taken over already.
        """
        with self._lock:
            if not self._absences.upgrade(taken):
                return False
            self._fill_in()
        self.rouse()
        return True

    def downgrade(self, taken: TakenOver) -> None:
        """The application is done with a connection that it has taken over."""
        with self._lock:
            self._absences.downgrade(taken)
            self._take_in()

    def taken(self) -> list[TakenOver]:
        """The connections that applications have taken over."""
        with self._lock:
            return self._absences.upgraded()

    def relieve(self) -> None:
        """Cut the slowest clients that workers wait for, if no other workers can be had.

        As many as others wait, and no more than are too many. Called by the Monitor's thread while
        all workers are away.
        """
        waiting = len(self._ready)
        if waiting:
            with self._lock:
                self._absences.relieve(time.monotonic(), waiting)

    # -- the Monitor's thread ------------------------------------------------------------------

    def tend(self) -> Care:
        """Called every few milliseconds while the pool is busy: bring in workers where needed."""
        now = time.monotonic()
        try:
            first = self._ready[0]
            head: tuple[Connection, float] | None = (first, first.claimed_at)
        except IndexError:
            head = None
        with self._lock:
            polled = (
                self._polling > 0
                or self._polls != self._last_polls
                or now - self._left_at < _ABSENCE
            )
            # While there is a queue, whatever arrives comes behind it.
            stuck = not polled if head is None else head == self._last_head
            self._last_polls = self._polls
            self._last_head = head
            waits = not polled or (head is not None and now - head[1] > LOOK)
            awake = len(self._seats) - len(self._sleepers) - len(self._absences)
            spare = awake > self._pollers
            verdict = self._demand.look(waits=waits, stuck=stuck, spare=spare)
            calm = verdict is Verdict.DISMISS and not spare
            self._calm_looks = self._calm_looks + 1 if calm else 0
            if verdict is Verdict.DISMISS:
                self._eager = 0
                self._dismissing = spare
            elif verdict is Verdict.CALL_EAGERLY:
                self._eager = EAGER_REQUESTS
            if polled:
                self._polled_at = now
            if verdict not in _CALLS:
                if head is None and self._polling:
                    return Care.NOTHING
                if now - self._polled_at > _BLINDNESS:
                    self._polled_at = now
                    return Care.POLL
                return Care.LOOK if self._calm_looks < _CALM_LOOKS else Care.RARE_LOOK
            self._dismissing = False
            if self._call_another():
                return Care.LOOK
            if head is not None and self._polling:
                self._monitor.wake()
            return Care.LOOK if self._polling else Care.STAND_IN

    def tend_reserve(self) -> bool:
        """Called as `tend` is: bring in reserved lanes where needed; whether that must go on."""
        return self._reserve.tend()

    def guard(self, *, on: bool) -> bool:
        """Begin or cease to tend; False when ceasing must wait because nobody polls."""
        with self._lock:
            if not on and (not self._polling or self._ready):
                return False
            self._guarded = on
            self._dismissing = False
            return True

    def rouse(self) -> None:
        """Have the Monitor's thread look at what has just begun, unless it will look anyway.

        It ceases to tend the pool before it looks for the last time, so one of the two sees the
        other.
        """
        if not self._guarded:
            self._alert()

    # -- a worker's thread ---------------------------------------------------------------------

    def _run(self, seat: _Seat) -> None:
        worker = seat.worker
        counters = self._tally.open()
        seat.now = time.monotonic()
        try:
            while self._look_for_work(seat, worker, counters):
                self._serve_ready(seat, worker, counters)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the pool must stay complete
            _faults.report(_log, error, "worker died; it is replaced")
            with self._lock:
                self._leave(seat)
                if self._present < self._min:
                    self._grow()
        finally:
            self._tally.close(counters)
            retire(worker)

    # In one piece, because every request passes through it and each call costs.
    def _serve_ready(  # noqa: C901
        self, seat: _Seat, worker: Worker, counters: Counters
    ) -> None:
        """Serve connections until there are none, or the pool wants a worker fewer."""
        ready, advance, serve = self._ready, self._phases.advance, self._phases.serve
        count_wait, count_service = counters.queue_time.add, counters.service_time.add
        while not self._dismissing:
            try:
                connection = ready.popleft()
            except IndexError:
                break
            # It begins where the last one ended, or with the poll that claimed it: looking at the
            # clock costs as much as counting. `serve` mostly has just looked when it returns.
            began = seat.now
            seat.busy = connection, began
            if not advance(connection, worker, counters):
                seat.now = time.monotonic()
                continue
            if self._eager > 0 and (ready or not self._polling):
                with self._lock:
                    self._eager -= 1
                    self._call_another()
            if self.watched:
                self.rouse()
            waited = began - connection.claimed_at
            if waited > LONG_WAIT:
                if self._phases.left(connection, worker, counters):
                    continue
            elif waited < 0:
                waited = 0.0
            connection.queue_time = waited
            again = serve(connection, worker, counters)
            ended = counters.parked_at
            if ended <= began:
                ended = time.monotonic()
            seat.now = ended
            count_wait(waited)
            count_service(ended - began)
            if again:
                connection.claimed_at = ended
                self._yield_to_others(connection)
        seat.busy = None

    def _yield_to_others(self, connection: Connection) -> None:
        """Put ``connection`` behind the others, those included whom nobody has looked for yet."""
        if not self._polling:
            self._ready.extend(self._monitor.poll(0))
        self._ready.append(connection)
        with self._lock:
            if self._polling:
                self._monitor.wake()  # a wake-up meant for that worker may just have been taken
            alert = not self._guarded
        if alert:
            self._alert()

    def _look_for_work(self, seat: _Seat, worker: Worker, counters: Counters) -> bool:
        """Poll or sleep until there may be ready connections; False: the thread is to end."""
        role = self._take_role(seat)
        if role is _Role.LEAVE or (role is _Role.SLEEP and not self._sleep(seat)):
            return False
        if role is _Role.POLL:
            self._poll()
            self._phases.expire_all(worker, counters)
        seat.now = time.monotonic()
        return True

    def _take_role(self, seat: _Seat) -> _Role:
        with self._lock:
            if self._stopping or (self._excess and self._is_excess()):
                self._leave(seat)
                if self._polling and self._excess:
                    self._monitor.wake()  # among those who poll there may be one more too many
                return _Role.LEAVE
            spare = len(self._seats) > self._max and self._awake > self._max
            # Only a pool that is tended gets back a worker too few.
            dismissed = spare or (self._dismissing and self._guarded)
            self._dismissing = False
            if self._ready and not dismissed:
                return _Role.SERVE
            if self._polling < self._pollers and not dismissed:
                self._polling += 1
                self._polls += 1
                return _Role.POLL
            self._sleepers.append(seat)
            if spare:
                self._leave_to_others()
            return _Role.SLEEP

    def _is_excess(self) -> bool:
        """With the lock: whether the calling thread is one that a smaller pool has to end."""
        excess = min(self._excess, max(self._present - self._max, 0))
        self._excess = max(excess - 1, 0)
        return excess > 0

    def _leave_to_others(self) -> None:
        """With the lock: one worker fewer looks for work, and the others have to see what waits.

        1. This worker finds that it is one too many, and another polls or is about to.
        2. Something was put into the queue after the other one has looked there.
        3. This worker does not look, as it would otherwise, so it wakes the one that polls.
        Where none polls, the Monitor's thread is to see to it that soon one does.
        """
        self._take_in()
        if self._polling:
            if self._ready:
                self._monitor.wake()
        elif not self._guarded:
            self._alert()

    def _sleep(self, seat: _Seat) -> bool:
        """Sleep until woken; False when the thread is one too many, and ends."""
        surplus = self._present > self._min
        if seat.wake.acquire(timeout=IDLE_RETIREMENT if surplus else -1):
            return True
        with self._lock:
            if seat in self._sleepers:
                self._sleepers.remove(seat)
                if self._present > self._min:
                    self._leave(seat)
                    return False
                return True
        seat.wake.acquire()  # it was woken just after its time was up
        return True

    def _leave(self, seat: _Seat) -> None:
        """With the lock: the calling thread ends, and leaves nobody without one who polls."""
        self._seats.discard(seat)
        self._leaving = [thread for thread in self._leaving if thread.is_alive()]
        if seat.thread is not None:  # not `current_thread`, which the application may have patched
            self._leaving.append(seat.thread)
        if self._stopping:
            self._monitor.wake()
        elif not self._polling and not self._wake_sleeper() and not self._guarded:
            self._alert()

    def _poll(self) -> None:
        claimed: list[Connection] = []
        try:
            claimed = self._monitor.poll(None)
        finally:
            ready = self._ready
            ready.extend(claimed)
            with self._lock:
                self._polling -= 1
                if claimed and not self._polling:
                    self._left_at = claimed[0].claimed_at
                # What this worker does not serve first must not wait for it, nor for a next event.
                # 1. Threads A and B poll. 2. Two connections are queued, each with a wake-up.
                # 3. A takes both wake-ups, returns with nothing, and serves the first connection.
                # 4. The second one is left to the Monitor's thread, which wakes B.
                exposed = len(ready) > 1 or (ready and not self._polling)
                alert = exposed and not self._guarded
            if alert:
                self._alert()


def _is_served(connection: Connection) -> bool:
    """Whether a worker that has taken ``connection`` from the queue runs the application for it.

    It still does when the server has answered for it; before, it receives what the client sends.
    """
    return OWNERS[connection.state] is Owner.WORKER or connection.lease is not None

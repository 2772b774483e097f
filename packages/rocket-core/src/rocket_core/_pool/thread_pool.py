"""The queue of ready connections, which threads serve it, and how few of them are awake.

Theory of operation
-------------------
A worker that runs out of work polls the Monitor itself and serves what it claims; the others sleep.
Handing a request from one thread to another costs more than parsing it, so that happens only while
the thread that would serve it is away in the application.

Four kinds of threads meet here:

- **A worker** (`PoolThread`) takes connections from `ThreadPool.ready`, one after the other. When
  there are none it asks for a `Role`: to poll, if fewer than ``pollers`` workers do, or to sleep. A
  worker that polls puts all that it claims into the queue, and serves the first of it.
- **A worker that is away** (`Absences`) waits for its client, is overdue, or serves a connection
  that its application has taken over. Another thread takes its place. A worker that comes back and
  is one too many goes to sleep when it has nothing to do.
- **A listener's thread** brings new connections (`welcome`) while it has not lent its socket. While
  it has, the thread that polls accepts them, and they are claimed as all else; see `Listener`.
- **The Monitor's thread** tends the pool while it is busy (`tend`): from the moment at which the
  last worker that polls goes away with work, until a worker polls again and nothing waits. It looks
  every few milliseconds, has `Staffing` judge what it sees, and calls workers, or has one sleep.
  While all workers are away, it does what needs none (`StandIn`).

The rule that all this serves: *what is in the queue is seen by a thread that can do something about
it.* That is a worker that is about to look into the queue, a worker that polls and is woken
(`Monitor.wake`), or the Monitor's thread, which is told (``alert``) unless it tends the pool
already. Each method below that queues something, or takes away a thread that would have looked,
sees to one of the three; the interleavings in which that is not obvious are at these lines.

Locking
-------
``_lock`` guards the lists of threads, how many of them poll, and the limits; all is told at
`ThreadPool`. Decisions are taken with the lock. Threads are started and woken with it, too, so that
the numbers are right for the next thread that looks; and a slow client's connection is aborted with
it, see `Absences`. Everything else is done without it. The queue needs no lock, since single
operations on a deque are atomic: a connection is put into it *before* the lock is taken to look for
a thread, and a worker looks into it *with* the lock before it sleeps, so one of the two sees the
other.

The attributes that every request reads (``ready``, ``polling``, ``dismissing``, ``eager``) are
written with the lock and read without it. What is read may be out of date: then a worker goes on
for one request more, or asks for a role and is told with the lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from rocket_core._connection.shared_request import SharedRequest
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._pool.absences import MAX_STALLED, MAX_UPGRADED, Absences
from rocket_core._pool.client_lines import ClientLines
from rocket_core._pool.staffing import Care, Snapshot, Staffing
from rocket_core._system.fault_log import FaultLog
from rocket_core._system.usable_cores import usable_cores

if TYPE_CHECKING:
    from rocket_core._connection.connection import Connection
    from rocket_core._engine.monitor import Monitor
    from rocket_core._engine.seat import Seat
    from rocket_core._exchange import Exchange, TakenOver
    from rocket_core._lease import Lease

_log = logging.getLogger("rocket_core.pool")
_faults: Final = FaultLog()

MAX_QUEUE: Final = 2048
"""Ready connections that wait while all workers are busy, before others are refused."""

QUEUE_TIMEOUT: Final = 60.0
"""Seconds that a ready connection waits while all workers are busy, before it is refused."""

BLIND: Final = 0.003
"""Seconds for which workers serve the requests of shared connections, before one of them looks at
what has become ready on others."""

GROW_PAUSE: Final = 0.5
"""Seconds between attempts to make another worker when one has failed."""


class Role(Enum):
    """What a worker does next."""

    SERVE = "look for ready work again"
    POLL = "poll the Monitor"
    SLEEP = "sleep"
    LEAVE = "end"


class Member(Protocol):
    """A thread of the pool, as far as the pool deals with it: a `PoolThread`."""

    @property
    def seat(self) -> Seat:
        """The seat of the thread."""

    def start(self) -> None:
        """Start the thread. Raises `RuntimeError` when the system has no thread to spare."""

    def wake(self) -> None:
        """End the sleep of the thread, or its next sleep before that begins."""


class ThreadPool:
    """``min_threads`` to ``max_threads`` workers over the queue of ready connections.

    No more than ``max_threads`` are awake, besides those that are away (`Absences`). A worker that
    comes back and is one too many sleeps as a spare, until another goes away or its time is over.

    ``_lock`` guards the members, the sleepers, the threads that leave, the limits, the absences,
    the time before which no thread is made, and all that is public but the queue.

    Attributes:
        ready: the connections that wait for a worker, each put there by its last owner, and the
            objects that have a turn.
        turns: those of them that have a turn, which are not counted where the queue is limited.
        polling: how many workers poll.
        dismissing: whether the next worker that runs out of work is to sleep.
        lines: where requests wait whose client has as many served as it may; None: there is no
            such limit.
        eager: for how many requests another worker is called before work has waited.
        guarded: whether the Monitor's thread tends the pool.
    """

    def __init__(
        self,
        monitor: Monitor,
        hire: Callable[[str], Member],
        *,
        min_threads: int,
        max_threads: int,
        max_stalled: int = MAX_STALLED,
        max_upgraded: int = MAX_UPGRADED,
        lines: ClientLines | None = None,
        alert: Callable[[], None],
    ) -> None:
        """Begin without threads.

        Args:
            monitor: what workers poll.
            hire: makes a thread of the given name, which is not started yet. May raise anything.
            min_threads: how many threads there are at least, once the pool is started.
            max_threads: how many there are at most, besides those that are away.
            max_stalled: how many workers that wait for a client or are overdue are replaced.
            max_upgraded: how many connections applications may have taken over.
            lines: see `lines`.
            alert: has the Monitor's thread tend the pool. May be called by any thread.
        """
        self._monitor = monitor
        self._hire = hire
        self._min = min_threads
        self._max = max_threads
        self._alert = alert
        self._pollers = usable_cores()
        self._staffing = Staffing(self._pollers)
        self.ready: deque[Connection | TurnTaker] = deque()
        self.turns: set[TurnTaker] = set()
        self.lines: Final = lines
        self.polling = 0
        self.dismissing = False
        self.eager = 0
        self.guarded = False
        self._lock = threading.Lock()
        self._members: set[Member] = set()
        self._sleepers: list[Member] = []
        self._called: set[Member] = set()
        """The workers that were woken or started, and have not had a processor since."""
        self._leaving: list[threading.Thread] = []
        self._absences = Absences(max_stalled, max_upgraded)
        self._excess = 0
        """The number of threads that are to end at once, since the pool was resized."""
        self._polls = 0
        """The number of times that a worker has begun to poll."""
        self._left_at = 0.0
        """When the last worker that polled went away to serve, by `time.monotonic`."""
        self._stopping = False
        self._names = 0
        self._looked_at = 0.0
        """When a worker that serves requests of a shared connection last looked at what has become
        ready on others, by `time.monotonic`. It does no harm if two look at the same time."""
        self._grow_after = 0.0

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start ``min_threads`` threads."""
        with self._lock:
            for _ in range(self._min):
                self._grow()
            short = len(self._members) < self._min
        if short:
            self._alert()

    def stop(self) -> None:
        """Have every thread end after what it is doing. Returns at once."""
        with self._lock:
            self._stopping = True
            self._wake_all()
        self._monitor.wake()

    def let_go(self) -> None:
        """In a process that the application forked: have the thread that came along end.

        It does if the application returns from its request there. Other threads may have held the
        lock, and are not there to release it.
        """
        self._lock = threading.Lock()
        if self.lines is not None:
            self.lines.let_go()
        self._stopping = True

    def join(self, timeout: float) -> list[str]:
        """Wait up to ``timeout`` seconds; return the names of the threads that have not ended."""
        until = time.monotonic() + timeout
        with self._lock:
            seats = [member.seat for member in self._members]
            threads = [seat.thread for seat in seats if seat.thread is not None]
            threads += self._leaving
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0))
        return [thread.name for thread in threads if thread.is_alive()]

    def resize(self, min_threads: int, max_threads: int) -> None:
        """Have ``min_threads`` to ``max_threads`` workers from now on. Any thread may call this.

        Surplus threads end when they become idle, one by one.
        """
        with self._lock:
            self._min, self._max = min_threads, max_threads
            while self._present < min_threads and self._grow():
                pass
            short = self._present < min_threads and not self._stopping
            self._excess = max(self._present - max_threads, 0)
            # A thread that sleeps for ever may now have to end after a while, and the reverse.
            self._wake_all()
        self._monitor.wake()
        if short:
            self._alert()

    def abandoned(self) -> list[Connection]:
        """Take the connections that wait for a worker; the caller owns them then.

        Turns are left there: in them the application hears of the end of what it has.
        """
        claimed: list[Connection] = []
        turns: list[TurnTaker] = []
        with suppress(IndexError):
            while True:  # one by one, since threads may take from it meanwhile
                exchange = self.ready.popleft()
                if isinstance(exchange, TurnTaker):
                    turns.append(exchange)
                else:
                    claimed.append(exchange)
        if turns:
            # 1. A turn is queued, which wakes a worker. 2. This thread takes the turn out. 3. The
            # worker finds nothing, and polls. 4. The turn is put back, and a worker woken again.
            self.ready.extend(turns)
            self._bring_worker()
        if self.lines is not None:
            claimed += self.lines.abandoned()
        return claimed

    # -- to be seen ----------------------------------------------------------------------------

    @property
    def threads(self) -> int:
        """The number of threads."""
        return len(self._members)

    @property
    def waiting(self) -> int:
        """The number of ready connections that wait for a worker."""
        return len(self.ready)

    @property
    def has_free_thread(self) -> bool:
        """Whether a worker polls, or sleeps. What any thread reads may be out of date."""
        return self.polling > 0 or len(self._sleepers) > 0

    @property
    def away(self) -> int:
        """The number of workers that are away: see `Absences`."""
        return len(self._absences)

    def seats(self) -> list[Seat]:
        """Return the seats of all threads."""
        return [member.seat for member in list(self._members)]

    @property
    def has_surplus(self) -> bool:
        """Whether there are more threads than there must be."""
        return self._present > self._min

    @property
    def _present(self) -> int:
        """The number of threads that are not away, whether asleep or awake."""
        return len(self._members) - self._absences.replaced

    @property
    def _awake(self) -> int:
        """The number of these that are awake; above ``max_threads`` when some just came back."""
        return self._present - len(self._sleepers)

    # -- more threads, and fewer: all with the lock ----------------------------------------------

    def _grow(self) -> bool:
        """With the lock: start a thread if one more is allowed; return whether one was started."""
        if self._stopping or self._awake >= self._max:
            return False
        if time.monotonic() < self._grow_after:
            return False
        try:
            member = self._hire(f"rocket-worker-{self._names + 1}")
        except Exception as error:  # noqa: BLE001 - of the protocol's making
            _faults.report(_log, error, "cannot make another worker")
            self._grow_after = time.monotonic() + GROW_PAUSE
            return False
        self._names += 1
        self._members.add(member)
        self._called.add(member)
        try:
            member.start()
        except RuntimeError as error:
            self._members.discard(member)
            self._called.discard(member)
            _log.error("cannot start another worker: %s", error)
            self._grow_after = time.monotonic() + GROW_PAUSE
            return False
        return True

    def _wake_sleeper(self) -> bool:
        """With the lock: wake the worker that fell asleep last; return whether one was woken.

        Its caches are the warmest, and the workers that fell asleep first sleep until they end. No
        worker is woken where enough are awake.
        """
        if not self._sleepers or self._awake >= self._max:
            return False
        self._wake(self._sleepers.pop())
        return True

    def _wake_all(self) -> None:
        """With the lock: wake every worker that sleeps."""
        while self._sleepers:
            self._wake(self._sleepers.pop())

    def _wake(self, member: Member) -> None:
        """With the lock: wake a worker that is not among the sleepers any more."""
        self._called.add(member)
        member.wake()

    def _call_another(self) -> bool:
        """With the lock: get one more worker to look for work; return whether there is one."""
        return self._wake_sleeper() or self._grow()

    def _fill_in(self) -> None:
        """With the lock: a worker has gone away; another takes its place where it is missed."""
        if self.ready or not self.polling:
            self._call_another()

    def _take_in(self) -> None:
        """With the lock: a worker has come back; where that is one too many, one goes to sleep."""
        if self._awake > self._max:
            self.dismissing = True

    def _leave(self, member: Member) -> None:
        """With the lock: the calling thread ends; another one polls, or is seen to be needed."""
        self._members.discard(member)
        self._called.discard(member)
        self._leaving = [thread for thread in self._leaving if thread.is_alive()]
        thread = member.seat.thread
        if thread is not None:  # not `current_thread`, which the application may have patched
            self._leaving.append(thread)
        if self._stopping:
            self._monitor.wake()
        elif not self.polling and not self._wake_sleeper() and not self.guarded:
            self._alert()

    # -- work from elsewhere -------------------------------------------------------------------

    def submit(self, connection: Connection | SharedRequest) -> None:
        """Queue a connection for a worker, and see to it that one comes. Any thread may call."""
        self.ready.append(connection)
        self._bring_worker()

    def submit_turn(self, taker: TurnTaker) -> None:
        """Queue a turn for a worker, and see to it that one comes. Any thread may call."""
        self._queue_turn(taker)
        self._bring_worker()

    def leave_turn(self, taker: TurnTaker) -> None:
        """Queue a turn, on a thread that is about to look at the queue.

        That is a worker that does what needs no application, or the Monitor's thread, which tends
        the pool after all that it does.
        """
        self._queue_turn(taker)
        with self._lock:
            # What a worker does not serve first must not wait for it: see `poll`.
            exposed = len(self.ready) > 1 or not self.polling
            alert = exposed and not self.guarded
        if alert:
            self._alert()

    def leave_request(self, request: SharedRequest, now: float) -> None:
        """Queue a request behind all others, on a worker that goes away to serve another one.

        ``now`` is when the worker last looked at the clock. The others include, now and then,
        connections that have become ready and that no worker has claimed yet.
        """
        request.claimed_at = now
        if now - self._looked_at > BLIND and self.polling <= 0 and not self._stopping:
            self._looked_at = now
            self.ready.extend(self._monitor.poll(0))
            with self._lock:
                if self.polling > 0:
                    self._monitor.wake()  # the poll may have taken its wake-up: see `queue_behind`
        self.ready.append(request)
        if not self.guarded:  # as `rouse`; for the interleaving see there
            self._alert()

    def drop_place(self, request: Connection | TurnTaker) -> None:
        """Note that a request which was taken from the queue is not served: see `ClientLines`.

        Called as `call_from_line`. Where lines are not used, nothing happens.
        """
        if self.lines is not None:
            self.call_from_line(self.lines.drop(request))

    def call_from_line(self, following: Connection | SharedRequest | None) -> None:
        """Queue a request that has got a place, if there is one.

        Called by a thread that is about to look at the queue, or the Monitor's thread, which tends
        the pool.
        """
        if following is None:
            return
        self.ready.append(following)
        with self._lock:
            # As in `leave_turn`: what a worker does not serve first must not wait for it.
            alert = not self.guarded and (len(self.ready) > 1 or not self.polling)
        if alert:
            self._alert()

    def _queue_turn(self, taker: TurnTaker) -> None:
        taker.claimed_at = time.monotonic()
        if not isinstance(taker, SharedRequest):  # which counts as a request
            self.turns.add(taker)  # before a worker can take it out
        self.ready.append(taker)

    def _bring_worker(self) -> None:
        """See to it that a worker looks at what the calling thread has just queued."""
        with self._lock:
            woken = self._wake_sleeper()
            if not woken and self.polling:
                self._monitor.wake()
            # 1. The only worker that polls returns with nothing. 2. The connection is queued.
            # 3. The worker finds it, and is away: the Monitor's thread must take over.
            alert = not woken and not self.polling and not self.guarded
        if alert:
            self._alert()

    def welcome(self, connection: Connection) -> None:
        """Take a connection that has just begun. Called by threads that do not poll.

        A worker that polls hears of its first bytes. While none does, a worker will look for work
        soon, and may find them there already; to be told would cost another system call.
        """
        with self._lock:
            queued = self.guarded and not self.polling
            if queued:
                connection.claimed_at = time.monotonic()
                self.ready.append(connection)
        if not queued:
            self._monitor.park(connection)

    def offer(self) -> None:
        """See to it that a worker finds what the Monitor's thread has put into the queue."""
        with self._lock:
            if self.ready and self.polling:
                self._monitor.wake()
            elif self.ready and len(self._sleepers) == len(self._members):
                self._wake_sleeper()

    # -- absences: called by workers, `replace` by the Monitor's thread --------------------------

    @contextmanager
    def stalled(self, exchange: Exchange) -> Iterator[None]:
        """Entered by a worker while it waits for its client; another takes its place."""
        now = time.monotonic()
        with self._lock:
            self._absences.stall(exchange, now)
            if self.ready:
                self._absences.relieve(now, len(self.ready))
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

    def replace(self, lease: Lease) -> bool:
        """Have another worker take the place of the worker of an overdue exchange.

        ``lease`` is that of its exchange. Returns False when too many are replaced already.
        """
        with self._lock:
            if not self._absences.replace(lease):
                return False
            self._fill_in()
            return True

    def returned(self, lease: Lease) -> None:
        """Note that the worker of an overdue exchange, replaced or not, is done with it."""
        with self._lock:
            self._absences.returned(lease)
            self._take_in()

    def upgrade(self, taken: TakenOver) -> bool:
        """Have another worker take the place of one whose application takes a connection over.

        Returns False when too many connections are taken over already.
        """
        with self._lock:
            if not self._absences.upgrade(taken):
                return False
            self._fill_in()
        self.rouse()
        return True

    def downgrade(self, taken: TakenOver) -> None:
        """Note that the application is done with a connection that it has taken over."""
        with self._lock:
            self._absences.downgrade(taken)
            self._take_in()

    def taken(self) -> list[TakenOver]:
        """Return the connections that applications have taken over."""
        with self._lock:
            return self._absences.upgraded()

    def relieve(self) -> None:
        """Cut the slowest clients that workers wait for, if no other workers can be had.

        As many as others wait, and no more than are too many. Called by the Monitor's thread while
        all workers are away.
        """
        waiting = len(self.ready)
        if waiting:
            with self._lock:
                self._absences.relieve(time.monotonic(), waiting)

    # -- the Monitor's thread ------------------------------------------------------------------

    def tend(self) -> Care:
        """Call a worker, or have one sleep, where that helps; return what is needed next.

        Called every few milliseconds while the pool is busy.
        """
        decision = self._staffing.judge(self.observe())
        with self._lock:
            if decision.dismiss is not None:
                self.dismissing = decision.dismiss
            if decision.eager is not None:
                self.eager = decision.eager
            if not decision.call or self._call_another():
                return decision.care
            # No other worker can be had: a worker that polls, if there is one, looks for work.
            if self.ready and self.polling:
                self._monitor.wake()
            return Care.LOOK if self.polling else Care.STAND_IN

    def observe(self) -> Snapshot:
        """Return what `Staffing` has to know."""
        head: tuple[Exchange, float] | None = None
        with suppress(IndexError):
            first = self.ready[0]
            head = first, first.claimed_at
        with self._lock:
            return Snapshot(
                now=time.monotonic(),
                head=head,
                polling=self.polling > 0,
                polls=self._polls,
                left_at=self._left_at,
                awake=len(self._members) - len(self._sleepers) - len(self._absences),
                called=len(self._called),
            )

    def guard(self, *, on: bool) -> bool:
        """Begin or cease to tend; return False when ceasing must wait because no worker polls."""
        with self._lock:
            if not on and (not self.polling or self.ready):
                return False
            self.guarded = on
            self.dismissing = False
            return True

    def rouse(self) -> None:
        """Have the Monitor's thread look at what has just begun. Any thread may call this.

        1. The Monitor's thread ceases to tend the pool, and ``guarded`` becomes false. 2. It looks
        at what is watched for the last time, and sleeps. 3. A request begins, for which it should
        wake. The caller has made the request visible before it reads ``guarded`` here: either it
        finds true, and the last look, which follows, sees the request; or it finds false.
        """
        if not self.guarded:
            self._alert()

    # -- a worker's thread ---------------------------------------------------------------------

    def arrive(self, member: Member) -> Role:
        """Return what a worker does that has just begun to run, or was just woken."""
        with self._lock:
            self._called.discard(member)
            return self._choose_role(member)

    def take_role(self, member: Member) -> Role:
        """Return what a worker does that has found no more work, or is dismissed."""
        with self._lock:
            return self._choose_role(member)

    def oversleep(self, member: Member) -> Role | None:
        """Return what a worker does whose time to sleep is over; None: it was just woken."""
        with self._lock:
            if member not in self._sleepers:
                return None
            self._sleepers.remove(member)
            if self._present > self._min:
                self._leave(member)
                return Role.LEAVE
            return self._choose_role(member)

    def _choose_role(self, member: Member) -> Role:
        """With the lock: decide what the calling worker does next."""
        # In a pool that stops, the last turns are served: in them the application hears of ends.
        if (self._stopping and not self.turns) or (self._excess and self._is_excess()):
            self._leave(member)
            if self.polling and self._excess:
                self._monitor.wake()  # one of the workers that poll may be too many as well
            return Role.LEAVE
        spare = len(self._members) > self._max and self._awake > self._max
        # Only a pool that is tended gets back a worker too few.
        dismissed = spare or (self.dismissing and self.guarded)
        self.dismissing = False
        if self.ready and not dismissed:
            return Role.SERVE
        if self.polling < self._pollers and not dismissed:
            self.polling += 1
            self._polls += 1
            return Role.POLL
        self._sleepers.append(member)
        if spare:
            self._leave_to_others()
        return Role.SLEEP

    def _is_excess(self) -> bool:
        """With the lock: return whether the calling thread is to end, as the pool was resized."""
        excess = min(self._excess, max(self._present - self._max, 0))
        self._excess = max(excess - 1, 0)
        return excess > 0

    def _leave_to_others(self) -> None:
        """With the lock: one worker fewer looks for work, and the others have to see what waits.

        1. This worker finds that it is one too many, and another polls or is about to.
        2. Something was put into the queue after the other one has looked there.
        3. This worker does not look, as it would otherwise, so it wakes the one that polls.
        Where no worker polls, the Monitor's thread is to see to it that a worker soon does.
        """
        self._take_in()
        if self.polling:
            if self.ready:
                self._monitor.wake()
        elif not self.guarded:
            self._alert()

    def poll(self) -> None:
        """Poll the Monitor until there is something, and queue what was claimed.

        Called by a worker whose role that is, which then serves the first connection of the queue.
        """
        claimed: list[Connection] = []
        try:
            claimed = self._monitor.poll(None)
        finally:
            ready = self.ready
            ready.extend(claimed)
            with self._lock:
                self.polling -= 1
                if claimed and not self.polling:
                    self._left_at = claimed[0].claimed_at
                # What this worker does not serve first must not wait for it, nor for a next event.
                # 1. Threads A and B poll. 2. Two connections are queued, each with a wake-up.
                # 3. A takes both wake-ups, returns with nothing, and serves the first connection.
                # 4. The second one is left to the Monitor's thread, which wakes B.
                exposed = len(ready) > 1 or (ready and not self.polling)
                alert = exposed and not self.guarded
            if alert:
                self._alert()

    def call_eagerly(self) -> None:
        """Call another worker before the calling one begins with a request, while others wait."""
        with self._lock:
            self.eager -= 1
            self._call_another()

    def queue_behind(self, exchange: Connection | TurnTaker) -> None:
        """Queue ``exchange`` again, behind all others that are ready.

        The others include connections that have become ready and that no worker has claimed yet.
        """
        # In a pool that stops nothing is begun any more, and a thread that it has left behind finds
        # that the Monitor is closed.
        if not self.polling and not self._stopping:
            self.ready.extend(self._monitor.poll(0))
        if isinstance(exchange, TurnTaker):
            self._queue_turn(exchange)
        else:
            self.ready.append(exchange)
        with self._lock:
            if self.polling:
                # 1. A worker that polls was to be woken. 2. The poll above has taken that wake-up.
                # 3. It is woken again here.
                self._monitor.wake()
            alert = not self.guarded
        if alert:
            self._alert()

    def replace_dead(self, member: Member) -> None:
        """Have another thread take the place of the calling one, which has failed and ends."""
        with self._lock:
            self._leave(member)
            if self._present < self._min:
                self._grow()

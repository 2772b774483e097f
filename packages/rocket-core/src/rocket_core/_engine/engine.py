"""Carries a connection through the table of states, from one parking to the next.

Theory of operation
-------------------
A thread that has claimed a connection from the Monitor, or taken it from the queue of the pool, is
its owner and calls the engine with it. The engine moves it along the table in `rocket_core._state`
until the connection has another owner again:

- `Engine.advance` does what needs no application: it lets the worker receive, sends what is unsent,
  negotiates TLS, discards what follows the last response. It ends with the connection READY, which
  the caller then queues or serves, or with the connection parked or closed. Worker threads call it,
  and the Monitor's thread while no worker has time.
- `Engine.serve` lets the application answer a READY connection. Only threads of the pool and the
  urgent lanes call it, since it may take as long as the application likes.
- `Engine.serve_turn` lets the application do one thing for a shared connection, likewise, and
  `Engine.serve_request` lets it answer one of the requests there.
- `Engine.flush` carries out what was noted on a shared connection, for any thread.
- `Engine.expire`, `refuse`, `left` and `overtake` end what has lasted too long.

A method that returns False or None has given the connection away: the caller must not touch it
afterwards, because another thread may own it already, or its descriptor may be another client's.

Two flags of `ServerState` may change while a thread is about to park: ``draining`` and ``stopped``.
They are set before the Monitor's thread claims all parked connections, and looked at after parking,
so a connection is found by one of the two. The interleaving is at `Engine._park`.

The engine has no lock and no state that changes: all it changes belongs to the owner.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from math import inf
from random import random
from time import monotonic
from typing import Final, Protocol

from rocket_core._connection.connection import Connection
from rocket_core._connection.server_state import ServerState
from rocket_core._connection.shared_connection import SharedConnection
from rocket_core._connection.shared_request import SharedRequest
from rocket_core._connection.shared_turns import Phase
from rocket_core._connection.timeouts import Timeouts
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._engine.counters import Counters
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.registry import Registry
from rocket_core._engine.request_limit import RequestLimit
from rocket_core._engine.seat import Seat
from rocket_core._engine.worker import Worker
from rocket_core._errors import ClientGone
from rocket_core._exchange import Exchange
from rocket_core._state import OWNERS, CloseReason, Owner, State
from rocket_core._system.poller import ENDS, READ, WRITE
from rocket_core._system.wait_ready import wait_ready

_log = logging.getLogger("rocket_core.worker")

FAIR_SHARE: Final = 32
"""Requests that one connection may have served in a row before other connections are served."""

DRAIN_GRACE: Final = 1.0
"""Seconds that a connection has been idle before a server that drains closes it.

A client that is about to send a request has sent it by then, and is answered. For a connection that
has not had a request yet, the time counts from the beginning of the drain.
"""

_ARRIVAL_GRACE: Final = 1.0
"""Seconds that an idle connection is given at its deadline if a request has just arrived."""

# Looking an attribute of an enum up takes a search, and these are needed several times a request.
_IDLE: Final = State.IDLE
_READY: Final = State.READY
_ACTIVE: Final = State.ACTIVE
_SHARED: Final = State.SHARED
_CLOSED: Final = State.CLOSED
_OPEN: Final = Phase.OPEN

_RECEIVING: Final = frozenset({State.IDLE, State.HEAD, State.BODY})

_TIMEOUT_REASONS: Final = {
    State.HANDSHAKE: CloseReason.HANDSHAKE_TIMEOUT,
    State.IDLE: CloseReason.KEEP_ALIVE_TIMEOUT,
    State.HEAD: CloseReason.HEAD_TIMEOUT,
    State.BODY: CloseReason.BODY_TIMEOUT,
    State.SENDING: CloseReason.SEND_TIMEOUT,
    State.LINGER: CloseReason.LINGER_TIMEOUT,
}

_BROKEN_STATES: Final = frozenset({State.SENDING, State.SHARED})
"""The states in which an error leaves no way to send a last message: some other one is unsent."""

_BROKEN: Final = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENOTCONN}
)


class WorkQueue(Protocol):
    """The queue of the pool, as far as the engine fills it. Any thread may call any method."""

    def submit(self, connection: Connection, /) -> None:
        """Queue a claimed connection for a worker, and see to it that one comes."""

    def submit_turn(self, taker: TurnTaker, /) -> None:
        """Queue a turn for a worker, and see to it that one comes."""

    def leave_turn(self, taker: TurnTaker, /) -> None:
        """Queue a turn, for the calling thread itself or for another one that is about to look."""

    def leave_request(self, request: SharedRequest, now: float, /) -> None:
        """Queue a request behind all others at ``now``, on a thread that goes away to serve."""


class NoQueue:
    """A `WorkQueue` without threads, which loses all."""

    def submit(self, connection: Connection, /) -> None:
        """Do nothing."""
        del connection

    def submit_turn(self, taker: TurnTaker, /) -> None:
        """Do nothing."""
        del taker

    def leave_turn(self, taker: TurnTaker, /) -> None:
        """Do nothing."""
        del taker

    def leave_request(self, request: SharedRequest, now: float, /) -> None:
        """Do nothing."""
        del request, now


NO_QUEUE: Final = NoQueue()


class Engine:
    """Moves connections along the table of states. Called by the thread that owns each of them."""

    def __init__(
        self,
        monitor: Monitor,
        registry: Registry,
        timeouts: Timeouts,
        server: ServerState,
        limit: RequestLimit[Connection | TurnTaker] | None = None,
        *,
        queue: WorkQueue | None = None,
        drain_grace: float = DRAIN_GRACE,
    ) -> None:
        """Compose an engine; ``queue`` takes what comes up elsewhere than on a worker's thread."""
        self._monitor = monitor
        self._registry = registry
        self._server = server
        self._limit = limit
        self._queue: Final = NO_QUEUE if queue is None else queue
        self._keep_alive: Final = timeouts.keep_alive
        self._drain_grace: Final = drain_grace
        self._seconds: Final = {
            State.HANDSHAKE: timeouts.handshake,
            State.IDLE: timeouts.keep_alive,
            State.HEAD: timeouts.head,
            State.LINGER: timeouts.linger,
        }

    # -- entrances -----------------------------------------------------------------------------

    def begin(self, connection: Connection, counters: Counters) -> None:
        """Count a connection that was just accepted, and whose time begins now.

        Called by the thread that accepted it, while no other one writes to ``counters``.
        """
        connection.server = self._server
        counters.accepted += 1
        self._registry.add(connection)
        if connection.state is _IDLE:  # as most begin
            connection.deadline = monotonic() + self._keep_alive
        else:
            self._set_deadline(connection)

    def hasten(self, connection: Connection) -> None:
        """Give a connection that has just begun no more time than a drain allows.

        Called by the thread that accepted it, after the connection was parked or queued.
        """
        if self._monitor.claim(connection):
            if connection.state is _IDLE and connection.last_request < 0:
                self._ends(connection)  # which closes nothing yet, and sets the deadline
            self._monitor.park(connection)

    # The casts are in the branches, since every request passes through here.
    def advance(self, exchange: Exchange, seat: Seat) -> bool:  # noqa: C901
        """Take a claimed connection as far as it goes without its client or `Worker.serve`.

        Returns True when it has become READY, and still belongs to the caller; otherwise it is
        parked or closed. A turn is left as it is, and returns False.
        """
        connection: Connection
        try:
            while True:
                state = exchange.state
                if state is _READY:
                    return True
                receiving = state in _RECEIVING
                if receiving:
                    connection = exchange  # type: ignore[assignment] # as turns are SHARED
                    target = seat.worker.receive(connection)
                elif state is _SHARED:
                    if isinstance(exchange, Connection):
                        self._receive_shared(exchange, seat)
                    return False
                else:
                    connection = exchange  # type: ignore[assignment] # likewise
                    target = _STEPS[state](connection)
                if target is _READY:
                    connection.state = _READY  # a move that every state has that gets here
                    return True
                if receiving and target is _CLOSED:
                    _note_client(connection)
                if (target is state or (target in _RECEIVING and receiving)) and (
                    state is State.SENDING or not connection.unsent
                ):
                    self._park(connection, target, seat)
                    return False
                if self._settle(connection, target, seat):
                    return False
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            if isinstance(exchange, Connection):
                self._fail(exchange, seat, error)
            return False

    # In one piece, because every request passes through it and each call costs.
    def serve(  # noqa: C901, PLR0911
        self, connection: Connection, seat: Seat, *, share: int = FAIR_SHARE
    ) -> bool:
        """Have a READY connection served, and up to ``share`` requests of it in a row.

        Returns True when it is READY again, still belongs to the caller, and other connections are
        to be served first; otherwise it is parked or closed. Where the last request has ended with
        a look at the clock, `Seat.now` is the time of that look.
        """
        limit, worker, counters = self._limit, seat.worker, seat.counters
        try:
            for _ in range(share):
                connection.state = _ACTIVE  # from READY, which needs no look at the table
                connection.requests += 1
                counters.requests += 1
                if limit is None:
                    target = worker.serve(connection) or _CLOSED
                elif (within := _serve_within(limit, connection, worker)) is None:
                    return False
                else:
                    target = within
                if target is _IDLE and not connection.unsent:
                    connection.state = _IDLE  # from ACTIVE, likewise: most requests end so
                    if not connection.buffered:
                        seat.now = now = monotonic()
                        connection.deadline = now + self._keep_alive
                        seat.busy = None  # before parking: see `_park`
                        self._monitor.park(connection)
                        if self._server.draining:  # looked at after parking: see `_park`
                            self._reconsider(connection, seat)
                        return False
                    target = self._receive_more(connection, worker)
                    if target is _READY:
                        connection.state = _READY
                        connection.queue_time = 0.0
                        connection.claimed_at = monotonic()
                        continue
                if target in _RECEIVING and not connection.unsent:
                    self._park(connection, target, seat)
                    return False
                if target is _CLOSED and not connection.unsent:
                    self.close(connection, seat)
                    return False
                if self._settle(connection, target, seat):
                    return False
                return self.advance(connection, seat)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._fail(connection, seat, error)
            return False
        return True

    def expire(self, connection: Connection, seat: Seat) -> None:
        """Deal with a claimed connection whose deadline has passed."""
        state = connection.state
        if state is State.SHARED:
            self._expire_shared(connection, seat)
            return
        if state is State.SENDING and connection.still_taking():
            self._monitor.park(connection)
            return
        if state is _IDLE and wait_ready(connection.descriptor, READ, 0):
            # A request has arrived in the last moment, and its event is on its way.
            connection.deadline = monotonic() + _ARRIVAL_GRACE
            self._monitor.park(connection)
            return
        if connection.close_reason is None:  # else the end was decided before
            drained = state is _IDLE and self._server.draining
            connection.close_reason = CloseReason.DRAINED if drained else _TIMEOUT_REASONS[state]
        if state not in _RECEIVING:
            self.close(connection, seat)
            return
        self._conclude(connection, seat, seat.worker.expired)

    def expire_all(self, seat: Seat) -> None:
        """Deal with every parked connection whose deadline has passed."""
        for connection in self._monitor.expired():
            self.expire(connection, seat)

    def is_urgent(self, connection: Connection, seat: Seat) -> bool | None:
        """Return whether a READY connection is to be served even while all workers are busy.

        Returns None when the worker has failed to tell; the connection is closed then.
        """
        try:
            return seat.worker.urgent(connection)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._fail(connection, seat, error)
            return None

    def refuse(self, connection: Connection, seat: Seat) -> None:
        """Turn a READY connection away without serving it."""
        connection.close_reason = CloseReason.OVERLOADED
        self._conclude(connection, seat, seat.worker.overloaded)

    def left(self, connection: Connection, seat: Seat) -> bool:
        """Close a READY connection whose client has left; return whether it has.

        A client that has only closed its side may still read the response, and gets it.
        """
        if not connection.is_broken():
            return False
        connection.close_reason = CloseReason.LEFT
        self.close(connection, seat)
        return True

    def overtake(self, exchange: Connection | TurnTaker, seat: Seat) -> None:
        """Answer for a worker that has lost an ACTIVE connection to the caller, or its turn."""
        if isinstance(exchange, TurnTaker):
            self._tell_overdue(exchange)
            return
        connection = exchange
        connection.close_reason = CloseReason.REQUEST_TIMEOUT
        context = None if connection.lease is None else connection.lease.context

        def last_word(overdue: Connection) -> State:
            # A last message behind unsent bytes could have to wait for the client.
            return _CLOSED if overdue.unsent else seat.worker.overdue(overdue, context)

        self._conclude(connection, seat, last_word)

    def close(self, connection: Connection, seat: Seat) -> None:
        """Close a connection that the caller owns, whatever its state, for its `close_reason`."""
        if connection.state is _CLOSED:
            connection.enter(_CLOSED)  # which raises
        connection.state = _CLOSED  # from any other state
        if connection.armed:
            self._monitor.forget(connection)
        shared = connection.shared
        if shared is not None:
            if shared.incomplete or connection.unsent:
                connection.unsent = True  # so that TLS does not say that all was sent
                connection.break_off()
            self._end_sharing(connection, shared, connection.close_reason or CloseReason.SERVED)
        connection.close()
        self._registry.remove(connection)
        if self._server.clients is not None:
            self._server.clients.release(connection)
        reason = connection.close_reason or CloseReason.SERVED
        closes = seat.counters.closes
        closes[reason] = closes.get(reason, 0) + 1
        try:
            seat.worker.closed(connection)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._server.faults.report(_log, error, "closing %s failed", connection.peer)

    def _receive_more(self, connection: Connection, worker: Worker) -> State:
        """Receive what the client has sent behind the request just served; as `Worker.receive`."""
        target = worker.receive(connection)
        if target is _CLOSED:
            _note_client(connection)
        elif target is _IDLE:
            self._set_deadline(connection)  # `_park` sets none where the state does not change
        return target

    def _conclude(
        self,
        connection: Connection,
        seat: Seat,
        last_word: Callable[[Connection], State],
    ) -> None:
        """Let the worker write a last message, and enter the state that it returns."""
        try:
            self._end_service(connection)
            if not self._settle(connection, last_word(connection), seat):
                self.advance(connection, seat)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._fail(connection, seat, error)

    def _end_service(self, connection: Connection) -> None:
        """Leave the worker's states: from here on, no thread may wait for the client."""
        if OWNERS[connection.state] is Owner.WORKER:
            connection.enter(State.SENDING)

    # -- moves ---------------------------------------------------------------------------------

    def _set_deadline(self, connection: Connection) -> None:
        """Begin the client's time for the state just entered."""
        now = monotonic()
        seconds = self._seconds.get(connection.state)
        if seconds is None:
            connection.begin_transfer(now, sending=connection.state is State.SENDING)
        else:
            connection.deadline = now + seconds

    def _park(self, connection: Connection, target: State, seat: Seat) -> None:
        if target is not connection.state:
            connection.enter(target)
            self._set_deadline(connection)
        # 1. This thread parks. 2. Another worker claims the connection, and serves it. 3. A look at
        # what this thread does would find that request. So the note, which a look begins with, is
        # erased before the first step: see `Seat`.
        seat.busy = None
        self._monitor.park(connection)
        # 1. This thread, about to park, has found no drain. 2. A drain begins: the Monitor's thread
        # sets `draining` and claims everything that is parked. 3. This thread parks, too late to be
        # claimed. 4. It looks at `draining` here, after parking, and claims the connection itself.
        if self._server.draining and (target is _IDLE or self._server.stopped):
            self._reconsider(connection, seat)

    def _reconsider(self, connection: Connection, seat: Seat) -> None:
        """Claim a connection that was parked while the server drains, and close it if it ends."""
        if self._monitor.claim(connection):
            if self._ends(connection):
                self.close(connection, seat)
            else:
                self._monitor.park(connection)

    def _ends(self, connection: Connection) -> bool:
        """Return whether a connection is closed instead of parked, idle or in a stopped server."""
        if self._server.stopped:
            connection.close_reason = CloseReason.STOPPED
            return True
        now = monotonic()
        if connection.last_request < 0:  # the connection is kept for one more request
            connection.last_request = connection.requests
            since = connection.deadline - self._keep_alive if connection.requests else now
            connection.deadline = min(connection.deadline, since + self._drain_grace)
            return False
        if connection.requests > connection.last_request:
            connection.close_reason = CloseReason.DRAINED
            return True
        return False

    def _settle(self, connection: Connection, target: State, seat: Seat) -> bool:
        """Enter ``target``, after sending what is unsent; return whether the caller lost it."""
        if target is State.SHARED:
            self._begin_sharing(connection, seat)
            return True
        if connection.unsent:
            connection.after = target
            if connection.state is not State.SENDING:
                connection.enter(State.SENDING)
            self._set_deadline(connection)
            self._park(connection, State.SENDING, seat)
            return True
        if target is _CLOSED:
            self.close(connection, seat)
            return True
        connection.enter(target)
        self._set_deadline(connection)
        if target is State.LINGER:
            connection.shut_down()
        return False

    # -- shared connections: see `SharedConnection` ----------------------------------------------

    def flush(self, shared: SharedConnection) -> None:
        """Carry out what was noted, unless another thread owns the connection and so will do it.

        Any thread may call this. It never waits.
        """
        if shared.unqueued and shared.take_unqueued():
            self._queue.submit_turn(shared)
        if shared.urgent or (shared.noted and not shared.blocked):
            connection: Connection = shared.connection
            if self._claim_shared(connection, shared):
                connection.claimed_at = monotonic()  # something moves: see `Eviction`
                self._park_shared(connection, shared)
        if self._server.room.crowded:
            self._admit()

    def serve_turn(self, taker: TurnTaker, seat: Seat) -> bool:
        """Let the application do one thing; return whether the turn is to be queued again.

        Called by a thread of the pool that has taken the turn from the queue.
        """
        limit = self._limit
        seat.counters.turns += 1
        taker.begin_turn()
        lease = None if limit is None else limit.begin(taker)
        again = False
        try:
            if lease is not None:
                lease.offer(None)
            again = taker.take_turn()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._report(taker, error)
        if limit is not None and lease is not None:
            limit.end(lease, taker)
        if self._server.room.crowded:
            self._admit()
        taker.flush()
        seat.busy = None  # before another worker may have the next turn: see `_park`
        queued = taker.end_turn(again=again)
        if not queued and taker.leaves:
            self._registry.end_leaving(taker)
        return queued

    def serve_request(self, request: SharedRequest, seat: Seat) -> None:
        """Let the application answer a request on a shared connection.

        Called by a thread of the pool, or an urgent lane, that has taken it from the queue.
        """
        handler = request.handler
        following = handler.follow()
        if following is not None:
            self._queue.leave_request(following, seat.now)
        if handler.gone:
            handler.drop()
            handler.flush()
            return
        limit = self._limit
        seat.counters.requests += 1
        lease = None if limit is None else limit.begin(request)
        try:
            handler.serve(seat.worker, request)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._report(request, error)
        if limit is not None and lease is not None:
            limit.end(lease, request)
        handler.flush()

    def refuse_request(self, request: SharedRequest) -> None:
        """Turn away a request on a shared connection that was taken from the queue."""
        handler = request.handler
        following = handler.follow()
        if following is not None:
            self._queue.leave_turn(following)
        try:
            if handler.gone:
                handler.drop()
            else:
                handler.refuse()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._report(request, error)
        handler.flush()

    def is_request_urgent(self, request: SharedRequest, seat: Seat) -> bool:
        """Return whether a request is to be served even while all workers are busy."""
        try:
            return request.handler.is_urgent(seat.worker)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._report(request, error)
            return False

    def _tell_overdue(self, taker: TurnTaker) -> None:
        try:
            taker.overdue()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._report(taker, error)
        taker.flush()

    def _report(self, taker: TurnTaker, error: BaseException) -> None:
        self._server.faults.report(_log, error, "serving %s failed", taker.connection.peer)
        taker.failed()

    def _admit(self) -> None:
        """Have the connections and streams read again for which there is room now."""
        for holder in self._server.room.admit():
            holder.read_again()
            holder.flush()

    def _begin_sharing(self, connection: Connection, seat: Seat) -> None:
        """Enter SHARED, with a connection that was READY, ACTIVE or received from until now."""
        shared = connection.shared
        if shared is None:
            raise RuntimeError("a worker returned State.SHARED without Connection.share")
        connection.enter(State.SHARED)
        # 1. Another thread notes something, finds that nothing can carry it out, and leaves. 2. It
        # can from here on. 3. The connection is parked, after which this thread looks at what was
        # noted.
        shared.attach(self.flush)
        # 1. The server stops, and waits for shared connections and their last turns, but not for
        # ever. 2. Its pool is to end. 3. This worker comes from the application, and parks the
        # connection. 4. The worker ends, since no turn waits. 5. The Monitor's thread closes the
        # connection, and queues the last turn for no worker at all. So what a stop has not found
        # shared is not parked: this worker closes it, and finds the turn before it ends. What it
        # has found, it waits for.
        if self._server.stopped:
            self._close_shared(connection, seat, CloseReason.STOPPED)
            return
        if connection.buffered:
            shared.protocol.received(connection)
            self._after_telling(shared)
        seat.busy = None  # before parking: see `_park`
        self._park_shared(connection, shared)

    # In one piece, because every message passes through it and each call costs.
    def _receive_shared(self, connection: Connection, seat: Seat) -> None:
        """Receive on a claimed shared connection, and give it back to the Monitor or close it."""
        shared = connection.shared
        if shared is None or shared.phase is Phase.OVER:
            self._close_shared(connection, seat, CloseReason.RESET)
            return
        if not shared.reads:
            if connection.is_broken():
                self._close_shared(connection, seat, CloseReason.RESET)
                return
        elif shared.phase is not _OPEN and shared.discards:
            if connection.discard():
                self._close_shared(connection, seat, CloseReason.CLIENT)
                return
        else:
            count = connection.fill()
            if count == 0:
                self._close_shared(connection, seat, CloseReason.CLIENT)
                return
            if count is not None or shared.recalled:
                shared.recalled = False
                shared.protocol.received(connection)
                if seat.pooled:
                    # The thread serves this turn as soon as the connection is parked. It need not
                    # be queued: the thread has claimed something, and is known not to poll.
                    if shared.unqueued and shared.take_unqueued():
                        seat.turn = shared
                    else:
                        seat.turn, shared.request = shared.request, None
                self._after_telling(shared)
        seat.busy = None  # before parking: see `_park`
        self._park_shared(connection, shared)

    def _after_telling(self, shared: SharedConnection) -> None:
        """See to what the protocol has noted for the pool, on a thread that is about to look."""
        if shared.unqueued and shared.take_unqueued():
            self._queue.leave_turn(shared)
        request = shared.request
        if request is not None:
            shared.request = None
            self._queue.leave_turn(request)
        if self._server.room.crowded:
            self._admit()

    def _close_shared(self, connection: Connection, seat: Seat, reason: CloseReason) -> None:
        if connection.close_reason is None:
            connection.close_reason = reason
        self.close(connection, seat)

    def _expire_shared(self, connection: Connection, seat: Seat) -> None:
        """Deal with a claimed shared connection for which the time has come for something."""
        shared = connection.shared
        if shared is None:
            return
        now = monotonic()
        try:
            late = shared.blocked and connection.transfer_deadline <= now
            if late and not connection.still_taking():
                self._close_shared(connection, seat, CloseReason.SEND_TIMEOUT)
                return
            if shared.drain_at <= now and not shared.drain_told:
                shared.drain_told = True
                shared.protocol.draining(shared)
            if shared.take_due(now):
                shared.protocol.due(now)
            self._after_telling(shared)
            shared.look_again()
            self._park_shared(connection, shared)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._fail(connection, seat, error)

    def _park_shared(self, connection: Connection, shared: SharedConnection) -> None:
        """Carry out what was noted, and give the connection away. Called by its owner, any thread.

        It is parked: for writing, too, if something is left to be sent.
        """
        owned = True
        while owned:
            idle = not shared.noted and shared.quiet and not self._server.draining
            if not idle and not self._carry_out(connection, shared):
                return
            self._monitor.park(connection)
            if shared.unqueued and shared.take_unqueued():
                self._queue.submit_turn(shared)
            # 1. This thread, the owner, has carried out all that it has found noted. 2. Another
            # thread notes something, cannot claim the connection, and leaves. 3. This thread parks,
            # and looks once more here: the other thread notes before it claims, and this one parks
            # before it looks. A drain is noticed in the same way: see `_park`.
            owned = (
                shared.urgent
                or (shared.noted and not shared.blocked)
                or (self._server.draining and shared.drain_at == inf)
            ) and self._claim_shared(connection, shared)

    def _claim_shared(self, connection: Connection, shared: SharedConnection) -> bool:
        """Claim a connection as long as it is shared as ``shared``; return whether the caller did.

        1. The caller finds something noted. 2. The owner carries it out, and the connection is not
        shared any more: it is idle, or shared again. 3. The caller claims it.
        """
        if not self._monitor.claim(connection):
            return False
        if connection.shared is shared:
            return True
        connection.claimed_at = monotonic()
        self._queue.submit(connection)
        return False

    def _carry_out(self, connection: Connection, shared: SharedConnection) -> bool:
        """Do all that was noted; return whether the connection is to be parked, or given away."""
        try:
            if not self._server.draining and shared.send_usual(connection):
                return True
        except OSError:
            self._break(connection, shared)
        waited = shared.blocked
        drained = self._send_shared(connection, shared)
        if connection.state is not _SHARED:
            self._follow_sharing(connection, shared)
            return False
        if drained:
            shared.note_drained()
        if shared.resumed and shared.take_resumed():
            # What the protocol has left in the buffer would be reported by no event, and the
            # calling thread may be one of the application.
            shared.recalled = True
            connection.claimed_at = monotonic()
            self._queue.submit(connection)
            return False
        if waited or shared.blocked or shared.urgent or self._server.draining:
            self._set_shared_deadline(connection, shared)
        interest = READ if shared.reads else 0
        if shared.blocked:
            interest |= WRITE
        if interest != READ:
            connection.wants = connection.wants or interest or ENDS
        return True

    def _set_shared_deadline(self, connection: Connection, shared: SharedConnection) -> None:
        """Set the deadline of a connection that is about to be parked."""
        if self._server.draining and shared.drain_at == inf:
            shared.drain_at = monotonic() + random() * self._server.drain_spread  # noqa: S311
        deadline = shared.next_deadline()
        if shared.blocked:
            deadline = min(deadline, connection.transfer_deadline)
        connection.deadline = deadline

    def _send_shared(self, connection: Connection, shared: SharedConnection) -> bool:
        """Send what was queued; return whether the client has taken what had to wait before.

        Afterwards the connection is in SHARED, or in the state that follows.
        """
        waited = shared.blocked
        if shared.phase is Phase.OVER:
            # 1. The client is found to be gone. 2. The protocol, which has not been told yet, has
            # something more to send, and notes that. It can never be carried out: if it stayed
            # noted, the owner would look for it without end.
            shared.noted = False
            return False
        try:
            moved = shared.send()
            if shared.blocked:
                if not waited:
                    connection.begin_transfer(monotonic(), sending=True)
                elif moved:
                    connection.transferred(moved, sending=True)
                return False
            if shared.ends:
                connection.enter(shared.after)
                if connection.state is State.LINGER:
                    connection.shut_down()
        except OSError:
            self._break(connection, shared)
            return False
        return waited and connection.state is _SHARED

    def _break(self, connection: Connection, shared: SharedConnection) -> None:
        """Note that the client is found to be gone.

        The thread may have no seat, so it leaves the close to the thread that receives next. That
        the socket has ended is an event, whichever thread polls: it finds the connection parked, or
        leaves word for this thread (`Monitor.park`).
        """
        if connection.close_reason is None:
            connection.close_reason = CloseReason.RESET
        connection.state = _SHARED
        shared.breaks()
        connection.abort()

    def _follow_sharing(self, connection: Connection, shared: SharedConnection) -> None:
        """Give away a connection that is not shared any more, and lingers or serves requests."""
        if connection.state is _IDLE:
            self._end_sharing(connection, shared, None)
            # What was pipelined is in the buffer, and the calling thread may have no seat.
            connection.claimed_at = monotonic()
            connection.deadline = connection.claimed_at + self._keep_alive
            self._queue.submit(connection)
            return
        if connection.close_reason is None and self._server.draining:
            connection.close_reason = CloseReason.DRAINED
        self._end_sharing(connection, shared, connection.close_reason or CloseReason.SERVED)
        self._set_deadline(connection)
        self._monitor.park(connection)

    def _end_sharing(
        self, connection: Connection, shared: SharedConnection, reason: CloseReason | None
    ) -> None:
        """Have the protocol told, by a turn, that the connection is not shared any more."""
        # In this order a stop, which looks for both, finds one of them until the turn is over.
        self._registry.begin_leaving(shared)
        shared.finish(reason)
        shared.protocol.lost()
        self._server.tally.close(connection)
        if shared.unqueued and shared.take_unqueued():
            self._queue.submit_turn(shared)

    def _fail(self, connection: Connection, seat: Seat, error: BaseException) -> None:
        active = connection.state is _ACTIVE
        if isinstance(error, ClientGone) or (not active and _is_broken(error)):
            if connection.close_reason is None:
                connection.close_reason = CloseReason.RESET
            self.close(connection, seat)
            return
        self._server.faults.report(_log, error, "serving %s failed", connection.peer)
        connection.close_reason = CloseReason.ERROR
        if connection.state in _BROKEN_STATES:
            self.close(connection, seat)
            return
        try:
            self._end_service(connection)
            target = seat.worker.failed(connection, error)
            if not self._settle(connection, target, seat):
                self.advance(connection, seat)
        except BaseException as again:  # noqa: BLE001 - as above
            if not isinstance(again, OSError):
                self._server.faults.report(_log, again, "serving %s failed again", connection.peer)
            if connection.state is not _CLOSED:
                self.close(connection, seat)


# The steps of the states that need no worker. Each returns the next state, or the same state while
# it is not complete.


def _handshake(connection: Connection) -> State:
    return _IDLE if connection.begin() else State.HANDSHAKE


def _send(connection: Connection) -> State:
    return connection.after if connection.flush() else State.SENDING


def _linger(connection: Connection) -> State:
    return _CLOSED if connection.discard() else State.LINGER


_STEPS: Final[dict[State, Callable[[Connection], State]]] = {
    State.HANDSHAKE: _handshake,
    State.SENDING: _send,
    State.LINGER: _linger,
}


def _note_client(connection: Connection) -> None:
    if connection.close_reason is None:
        connection.close_reason = CloseReason.CLIENT


def _serve_within(
    limit: RequestLimit[Connection | TurnTaker], connection: Connection, worker: Worker
) -> State | None:
    """Call `Worker.serve` with a limit of time.

    Returns None when the time was up, and the Monitor's thread owns the connection.
    """
    lease = limit.begin(connection)
    try:
        target = worker.serve(connection) or _CLOSED
    except BaseException as error:  # whatever it is, another thread may own the connection
        if limit.end(lease, connection):
            raise
        if not isinstance(error, ClientGone):
            connection.server.faults.report(_log, error, "a request that ran for too long failed")
        return None
    return target if limit.end(lease, connection) else None


def _is_broken(error: BaseException) -> bool:
    """Return whether a socket raises ``error`` when its client is gone."""
    return isinstance(error, ConnectionError | TimeoutError) or (
        isinstance(error, OSError) and error.errno in _BROKEN
    )

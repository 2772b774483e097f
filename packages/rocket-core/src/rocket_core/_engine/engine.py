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
from time import monotonic
from typing import Final

from rocket_core._connection.connection import Connection
from rocket_core._connection.server_state import ServerState
from rocket_core._connection.timeouts import Timeouts
from rocket_core._engine.counters import Counters
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.registry import Registry
from rocket_core._engine.request_limit import RequestLimit
from rocket_core._engine.seat import Seat
from rocket_core._engine.worker import Worker
from rocket_core._errors import ClientGone
from rocket_core._state import OWNERS, CloseReason, Owner, State
from rocket_core._system.poller import READ
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
_CLOSED: Final = State.CLOSED

_RECEIVING: Final = frozenset({State.IDLE, State.HEAD, State.BODY})

_TIMEOUT_REASONS: Final = {
    State.HANDSHAKE: CloseReason.HANDSHAKE_TIMEOUT,
    State.IDLE: CloseReason.KEEP_ALIVE_TIMEOUT,
    State.HEAD: CloseReason.HEAD_TIMEOUT,
    State.BODY: CloseReason.BODY_TIMEOUT,
    State.SENDING: CloseReason.SEND_TIMEOUT,
    State.LINGER: CloseReason.LINGER_TIMEOUT,
}

_BROKEN: Final = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENOTCONN}
)


class Engine:
    """Moves connections along the table of states. Called by the thread that owns each of them."""

    def __init__(
        self,
        monitor: Monitor,
        registry: Registry,
        timeouts: Timeouts,
        server: ServerState,
        limit: RequestLimit[Connection] | None = None,
        *,
        drain_grace: float = DRAIN_GRACE,
    ) -> None:
        self._monitor = monitor
        self._registry = registry
        self._server = server
        self._limit = limit
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

    def advance(self, connection: Connection, seat: Seat) -> bool:
        """Take a claimed connection as far as it goes without its client or `Worker.serve`.

        Returns True when it has become READY, and still belongs to the caller; otherwise it is
        parked or closed.
        """
        try:
            while True:
                state = connection.state
                if state is _READY:
                    return True
                receiving = state in _RECEIVING
                target = seat.worker.receive(connection) if receiving else _STEPS[state](connection)
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
            self._fail(connection, seat, error)
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
                        self._monitor.park(connection)
                        if self._server.draining:  # looked at after parking: see `_park`
                            self._reconsider(connection, seat)
                        return False
                    target = self._receive_more(connection, worker)
                    if target is _READY:
                        connection.state = _READY
                        connection.queue_time = 0.0
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

    def overtake(self, connection: Connection, seat: Seat) -> None:
        """Answer for a worker that has lost an ACTIVE connection to the caller."""
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
        connection.close()
        self._registry.remove(connection)
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

    def _fail(self, connection: Connection, seat: Seat, error: BaseException) -> None:
        active = connection.state is _ACTIVE
        if isinstance(error, ClientGone) or (not active and _is_broken(error)):
            if connection.close_reason is None:
                connection.close_reason = CloseReason.RESET
            self.close(connection, seat)
            return
        self._server.faults.report(_log, error, "serving %s failed", connection.peer)
        connection.close_reason = CloseReason.ERROR
        if connection.state is State.SENDING:  # what is unsent can never be sent
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
    limit: RequestLimit[Connection], connection: Connection, worker: Worker
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

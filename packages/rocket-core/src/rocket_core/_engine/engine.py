"""What happens to a connection between two parkings.

Runs on the thread that claimed the connection: a worker's, or the Monitor's own, which does
everything except calling `Worker.serve`.
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
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.registry import Registry
from rocket_core._engine.request_limit import RequestLimit
from rocket_core._engine.statistics import Counters
from rocket_core._engine.worker import Worker
from rocket_core._errors import ClientGone
from rocket_core._state import OWNERS, CloseReason, Owner, State
from rocket_core._system.poller import READ
from rocket_core._system.wait_ready import wait_ready

_log = logging.getLogger("rocket_core.worker")

FAIR_SHARE: Final = 32
"""Requests one connection may have served in a row before others get their turn."""

DRAIN_GRACE: Final = 1.0
"""Seconds that a connection has been idle before a server that drains closes it.

A client that is about to send a request has sent it by then, and is answered. One without any
request yet has so long from the beginning of the drain.
"""

# An attribute of an enum costs a search, and these are needed several times a request.
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
    """Advances connections through the table of states."""

    def __init__(
        self,
        monitor: Monitor,
        registry: Registry,
        timeouts: Timeouts,
        host: ServerState,
        limit: RequestLimit | None = None,
    ) -> None:
        self._monitor = monitor
        self._registry = registry
        self._host = host
        self._limit = limit
        self._keep_alive: Final = timeouts.keep_alive
        self._seconds: Final = {
            State.HANDSHAKE: timeouts.handshake,
            State.IDLE: timeouts.keep_alive,
            State.HEAD: timeouts.head,
            State.LINGER: timeouts.linger,
        }

    # -- entrances -----------------------------------------------------------------------------

    def begin(self, connection: Connection, counters: Counters) -> None:
        """Count a connection that was just accepted, and whose time begins now."""
        connection.server = self._host
        counters.accepted += 1
        self._registry.add(connection)
        self._set_deadline(connection)

    def hasten(self, connection: Connection) -> None:
        """Give a connection that has just begun no more than the time there is in a drain."""
        if self._monitor.claim(connection):
            if connection.state is _IDLE and connection.last_request < 0:
                self._ends(connection)  # not yet
            self._monitor.park(connection)

    def advance(self, connection: Connection, worker: Worker, counters: Counters) -> bool:
        """Take a claimed connection as far as it goes without its client or `Worker.serve`.

        True when it has become READY, and still belongs to the caller; otherwise it is parked or
        closed.
        """
        try:
            while True:
                state = connection.state
                if state is _READY:
                    return True
                receiving = state in _RECEIVING
                target = worker.receive(connection) if receiving else _STEPS[state](connection)
                if target is _READY:
                    connection.state = _READY  # a move that every state has but LINGER
                    return True
                if receiving and target is _CLOSED:
                    _note_client(connection)
                if (target is state or (target in _RECEIVING and receiving)) and (
                    state is State.SENDING or not connection.unsent
                ):
                    self._park(connection, target, worker, counters)
                    return False
                if self._settle(connection, target, worker, counters):
                    return False
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._fail(connection, worker, counters, error)
            return False

    # In one piece, because every request passes through it and each call costs.
    def serve(  # noqa: C901, PLR0911
        self,
        connection: Connection,
        worker: Worker,
        counters: Counters,
        *,
        share: int = FAIR_SHARE,
    ) -> bool:
        """Have a READY connection served, and up to ``share`` requests of it in a row.

        True when it is READY again, still belongs to the caller, and others have a turn first;
        otherwise it is parked or closed.
        """
        limit = self._limit
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
                    connection.state = _IDLE  # as most requests end, so nor does this
                    if not connection.buffered:
                        counters.parked_at = now = monotonic()
                        connection.deadline = now + self._keep_alive
                        self._monitor.park(connection)
                        if self._host.draining:
                            self._reconsider(connection, worker, counters)
                        return False
                    target = self._receive_more(connection, worker)
                    if target is _READY:
                        connection.state = _READY
                        connection.queue_time = 0.0
                        continue
                if target in _RECEIVING and not connection.unsent:
                    self._park(connection, target, worker, counters)
                    return False
                if self._settle(connection, target, worker, counters):
                    return False
                return self.advance(connection, worker, counters)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._fail(connection, worker, counters, error)
            return False
        return True

    def expire(self, connection: Connection, worker: Worker, counters: Counters) -> None:
        """Deal with a claimed connection whose deadline has passed."""
        state = connection.state
        if state is State.SENDING and connection.still_taking():
            self._monitor.park(connection)
            return
        if state is _IDLE and wait_ready(connection.descriptor, READ, 0):
            # A request has arrived in the last moment, and its event is on its way.
            connection.deadline = monotonic() + DRAIN_GRACE
            self._monitor.park(connection)
            return
        if connection.close_reason is None:  # else the end was decided before
            drained = state is _IDLE and self._host.draining
            connection.close_reason = CloseReason.DRAINED if drained else _TIMEOUT_REASONS[state]
        if state not in _RECEIVING:
            self.close(connection, worker, counters)
            return
        self._conclude(connection, worker, counters, worker.expired)

    def expire_all(self, worker: Worker, counters: Counters) -> None:
        """Deal with every parked connection whose deadline has passed."""
        for connection in self._monitor.expired():
            self.expire(connection, worker, counters)

    def is_urgent(self, connection: Connection, worker: Worker, counters: Counters) -> bool | None:
        """Whether a READY connection is to be served at once; None: that failed, and it is gone."""
        try:
            return worker.urgent(connection)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._fail(connection, worker, counters, error)
            return None

    def refuse(self, connection: Connection, worker: Worker, counters: Counters) -> None:
        """Do without serving a READY connection."""
        connection.close_reason = CloseReason.OVERLOADED
        self._conclude(connection, worker, counters, worker.overloaded)

    def left(self, connection: Connection, worker: Worker, counters: Counters) -> bool:
        """Whether the client of a READY connection has left, which then is closed unserved.

        A client that has closed its side only may still read the answer, and gets it.
        """
        if not connection.is_broken():
            return False
        connection.close_reason = CloseReason.LEFT
        self.close(connection, worker, counters)
        return True

    def overtake(self, connection: Connection, worker: Worker, counters: Counters) -> None:
        """Answer for a worker that has lost an ACTIVE connection to the caller."""
        connection.close_reason = CloseReason.REQUEST_TIMEOUT
        context = None if connection.lease is None else connection.lease.context

        def last_word(overdue: Connection) -> State:
            # Behind what the client has yet to take, a last word could have to wait for it.
            return _CLOSED if overdue.unsent else worker.overdue(overdue, context)

        self._conclude(connection, worker, counters, last_word)

    def close(self, connection: Connection, worker: Worker, counters: Counters) -> None:
        """Close a connection the caller owns, whatever its state, for `close_reason`."""
        connection.enter(_CLOSED)
        self._monitor.forget(connection)
        connection.close()
        self._registry.remove(connection)
        reason = connection.close_reason or CloseReason.SERVED
        counters.closes[reason] = counters.closes.get(reason, 0) + 1
        try:
            worker.closed(connection)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._host.faults.report(_log, error, "closing %s failed", connection.peer)

    def _receive_more(self, connection: Connection, worker: Worker) -> State:
        """`Worker.receive` for what a client has sent behind the request just served."""
        target = worker.receive(connection)
        if target is _CLOSED:
            _note_client(connection)
        elif target is _IDLE:
            self._set_deadline(connection)  # it was IDLE before, so that parking does not
        return target

    def _conclude(
        self,
        connection: Connection,
        worker: Worker,
        counters: Counters,
        last_word: Callable[[Connection], State],
    ) -> None:
        """Let the worker say a last word to the client, and go where that leads."""
        try:
            self._end_service(connection)
            if not self._settle(connection, last_word(connection), worker, counters):
                self.advance(connection, worker, counters)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must live
            self._fail(connection, worker, counters, error)

    def _end_service(self, connection: Connection) -> None:
        """Whatever is said to the client from now on, no thread may wait for it."""
        if OWNERS[connection.state] is Owner.WORKER:
            connection.enter(State.SENDING)

    # -- moves ---------------------------------------------------------------------------------

    def _set_deadline(self, connection: Connection) -> None:
        """The client's time for the state just entered begins."""
        now = monotonic()
        seconds = self._seconds.get(connection.state)
        if seconds is None:
            connection.begin_transfer(now, sending=connection.state is State.SENDING)
        else:
            connection.deadline = now + seconds

    def _park(
        self, connection: Connection, target: State, worker: Worker, counters: Counters
    ) -> None:
        if target is not connection.state:
            connection.enter(target)
            self._set_deadline(connection)
        self._monitor.park(connection)
        # Looked at afterwards, or a drain that begins in between would miss this connection.
        if self._host.draining and (target is _IDLE or self._host.stopped):
            self._reconsider(connection, worker, counters)

    def _reconsider(self, connection: Connection, worker: Worker, counters: Counters) -> None:
        """A connection was parked in a server that drains."""
        if self._monitor.claim(connection):
            if self._ends(connection):
                self.close(connection, worker, counters)
            else:
                self._monitor.park(connection)

    def _ends(self, connection: Connection) -> bool:
        """Whether a connection is closed instead of parked, idle or in a server that stopped."""
        if self._host.stopped:
            connection.close_reason = CloseReason.STOPPED
            return True
        now = monotonic()
        if connection.last_request < 0:  # it may be kept for one request more
            connection.last_request = connection.requests
            since = connection.deadline - self._keep_alive if connection.requests else now
            connection.deadline = min(connection.deadline, since + DRAIN_GRACE)
            return False
        if connection.requests > connection.last_request:
            connection.close_reason = CloseReason.DRAINED
            return True
        return False

    def _settle(
        self, connection: Connection, target: State, worker: Worker, counters: Counters
    ) -> bool:
        """Enter ``target``, after sending what is unsent; True when the caller gave it away."""
        if connection.unsent:
            connection.after = target
            if connection.state is not State.SENDING:
                connection.enter(State.SENDING)
            self._set_deadline(connection)
            self._park(connection, State.SENDING, worker, counters)
            return True
        if target is _CLOSED:
            self.close(connection, worker, counters)
            return True
        connection.enter(target)
        self._set_deadline(connection)
        if target is State.LINGER:
            connection.shut_down()
        return False

    def _fail(
        self, connection: Connection, worker: Worker, counters: Counters, error: BaseException
    ) -> None:
        active = connection.state is _ACTIVE
        if isinstance(error, ClientGone) or (not active and _is_broken(error)):
            if connection.close_reason is None:
                connection.close_reason = CloseReason.RESET
            self.close(connection, worker, counters)
            return
        self._host.faults.report(_log, error, "serving %s failed", connection.peer)
        connection.close_reason = CloseReason.ERROR
        if connection.state is State.SENDING:  # what is unsent cannot be sent, ever
            self.close(connection, worker, counters)
            return
        try:
            self._end_service(connection)
            target = worker.failed(connection, error)
            if not self._settle(connection, target, worker, counters):
                self.advance(connection, worker, counters)
        except BaseException as again:  # noqa: BLE001 - as above
            if not isinstance(again, OSError):
                self._host.faults.report(_log, again, "serving %s failed again", connection.peer)
            if connection.state is not _CLOSED:
                self.close(connection, worker, counters)


# Steps from one state to the next, the same one meaning "not yet"; `Worker.receive` is another.


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


def _serve_within(limit: RequestLimit, connection: Connection, worker: Worker) -> State | None:
    """`Worker.serve`; None when the time was up, and the connection is the worker's no more."""
    lease = limit.begin(connection)
    try:
        target = worker.serve(connection) or _CLOSED
    except BaseException as error:  # whatever it is, the connection may be another thread's
        if limit.end(lease, connection):
            raise
        if not isinstance(error, ClientGone):
            connection.server.faults.report(_log, error, "a request that ran for too long failed")
        return None
    return target if limit.end(lease, connection) else None


def _is_broken(error: BaseException) -> bool:
    """Whether ``error`` is what a socket raises when its client is gone."""
    return isinstance(error, ConnectionError | TimeoutError) or (
        isinstance(error, OSError) and error.errno in _BROKEN
    )
